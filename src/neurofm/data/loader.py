"""From rows of a store to batches, read ahead in threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from neurofm.cohorts.index import participant_keys
from neurofm.data.ahead import Order, complete_ahead
from neurofm.data.batch import BadScan, Batch, StoredBatch
from neurofm.data.buffers import BufferPool
from neurofm.errors import StoreError
from neurofm.store.reader import Store
from neurofm.store.shards import packed_mask_bytes

Notes = Sequence[BadScan | None]


@dataclass(frozen=True, eq=False)
class StoredScan:
    """One scan as the store holds it, in the store's own memory.

    Attributes:
        codes: (depth, height, width); intensity = offset + step * code.
        bits: the mask, one bit a voxel, the highest bit of a byte first.
        offset: intensity of code 0.
        step: intensity between neighbouring codes.
    """

    codes: npt.NDArray[np.uint16]
    bits: npt.NDArray[np.uint8]
    offset: float
    step: float


class ScanLoader:
    """Reads batches of a store while the last one is being used.

    Args:
        store: an open store.
        prefetch: batches read ahead.
        threads: scans read at the same time, 0 for none beside the caller; neither order nor
            content depends on it.
        pinned: read `stored_batches` into page-locked memory, for a GPU.
    """

    def __init__(
        self, store: Store, prefetch: int = 2, threads: int = 1, pinned: bool = False
    ) -> None:
        self._store, self._prefetch, self._threads = store, prefetch, threads
        self._items = tuple(str(key) for key in participant_keys(store.index))
        self._names = tuple(str(name) for name in store.index["scan_id"])
        self._images = BufferPool((1, *store.shape), torch.float32)
        self._masks = BufferPool((1, *store.shape), torch.bool)
        self._codes = BufferPool(store.shape, torch.uint16, pinned)
        self._bits = BufferPool((packed_mask_bytes(store.shape),), torch.uint8, pinned)

    def batches(self, row_batches: Iterable[Sequence[int]], epoch: int = 0) -> Iterator[Batch]:
        """One batch for each list of rows, in their order, intensities as they were packed.

        Raises:
            StoreError: a scan cannot be read; names the scan.
        """
        orders = (self._order(tuple(rows), epoch, _refuse_bad_scans) for rows in row_batches)
        return complete_ahead(orders, self._prefetch, self._threads)

    def noted_batches(
        self, row_batches: Iterable[Sequence[int]], epoch: int = 0
    ) -> Iterator[Batch]:
        """The same, but a scan that cannot be read is NaN and in its batch's `bad_scans`."""
        orders = (self._order(tuple(rows), epoch, Batch.with_bad_scans) for rows in row_batches)
        return complete_ahead(orders, self._prefetch, self._threads)

    def stored_batches(
        self, row_batches: Iterable[Sequence[int]], epoch: int = 0
    ) -> Iterator[StoredBatch]:
        """The batches of `noted_batches` as the store holds them, to be decoded on a device."""
        orders = (self._stored_order(tuple(rows), epoch) for rows in row_batches)
        return complete_ahead(orders, self._prefetch, self._threads)

    def scan(self, row: int) -> StoredScan:
        """One scan of the store, not copied.

        Raises:
            StoreError: it cannot be read; names the scan.
        """
        try:
            offset, step = self._store.scale(row)
            return StoredScan(self._store.image(row), self._store.mask_bits(row), offset, step)
        except (StoreError, OSError) as error:
            what = f"cannot be read from the store: {error}"
            raise StoreError(what, "", self._names[row]) from None

    def empty_batch(self, rows: tuple[int, ...], epoch: int) -> Batch:
        """A batch of these rows in reused memory, to be filled in."""
        images, masks = self._images.take(len(rows)), self._masks.take(len(rows))
        return Batch(images, masks, rows, self._items_of(rows), epoch)

    def _order(
        self, rows: tuple[int, ...], epoch: int, finish: Callable[[Batch, Notes], Batch]
    ) -> Order[Batch, BadScan | None]:
        batch = self.empty_batch(rows, epoch)
        places = zip(rows, batch.images[:, 0].numpy(), batch.masks[:, 0].numpy(), strict=True)
        return Order([partial(self._decode, *place) for place in places], partial(finish, batch))

    def _stored_order(
        self, rows: tuple[int, ...], epoch: int
    ) -> Order[StoredBatch, BadScan | None]:
        codes, bits = self._codes.take(len(rows)), self._bits.take(len(rows))
        scales = tuple(self._store.scale(row) for row in rows)
        batch = StoredBatch(codes, bits, scales, rows, self._items_of(rows), epoch)
        places = zip(rows, codes.numpy(), bits.numpy(), strict=True)
        return Order([partial(self._copy, *place) for place in places], partial(_with_notes, batch))

    def _items_of(self, rows: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self._items[row] for row in rows)

    def _decode(
        self, row: int, image: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
    ) -> BadScan | None:
        try:
            scan = self.scan(row)
        except StoreError as error:
            image[...], mask[...] = np.nan, False
            return BadScan(row, str(error))
        np.multiply(
            scan.codes, np.float32(scan.step), out=image, dtype=np.float32, casting="unsafe"
        )
        image += np.float32(scan.offset)
        inside = np.unpackbits(scan.bits, count=mask.size)
        mask[...] = inside.view(np.bool_).reshape(mask.shape)
        return None

    def _copy(
        self, row: int, codes: npt.NDArray[np.uint16], bits: npt.NDArray[np.uint8]
    ) -> BadScan | None:
        try:
            scan = self.scan(row)
        except StoreError as error:
            codes[...], bits[...] = 0, 0
            return BadScan(row, str(error))
        codes[...], bits[...] = scan.codes, scan.bits
        return None


def _refuse_bad_scans(batch: Batch, notes: Notes) -> Batch:
    for note in notes:
        if note is not None:
            raise StoreError(note.reason)
    return batch


def _with_notes(batch: StoredBatch, notes: Notes) -> StoredBatch:
    pairs = zip(batch.scales, notes, strict=True)
    scales = tuple((math.nan, math.nan) if note else scale for scale, note in pairs)
    return replace(batch, scales=scales, bad_scans=tuple(note for note in notes if note))
