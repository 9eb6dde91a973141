"""From rows of a store to batches, read ahead in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from neurofm.cohorts.index import participant_keys
from neurofm.data.batch import Batch
from neurofm.data.buffers import BufferPool
from neurofm.errors import StoreError
from neurofm.store.reader import Store


class ScanLoader:
    """Reads batches of a store while the last one is being used.

    Args:
        store: an open store.
        prefetch: batches read ahead.
        threads: batches read at the same time; their order does not depend on it.
    """

    def __init__(self, store: Store, prefetch: int = 2, threads: int = 1) -> None:
        self._store, self._prefetch, self._threads = store, prefetch, threads
        self._items = tuple(str(key) for key in participant_keys(store.index))
        self._names = tuple(str(name) for name in store.index["scan_id"])
        self._pools: dict[int, tuple[BufferPool, BufferPool]] = {}

    def batches(self, row_batches: Iterable[Sequence[int]], epoch: int = 0) -> Iterator[Batch]:
        """One batch for each list of rows, in their order, intensities as they were packed.

        Raises:
            StoreError: a scan cannot be read; names the scan.
        """
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="scan-loader")
        pending: deque[Future[Batch]] = deque()
        try:
            for rows in row_batches:
                pending.append(pool.submit(self._read, tuple(rows), epoch))
                if len(pending) > self._prefetch:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, rows: tuple[int, ...], epoch: int) -> Batch:
        image_pool, mask_pool = self._pools_for(len(rows))
        images, masks = image_pool.take(len(rows)), mask_pool.take(len(rows))
        for position, row in enumerate(rows):
            self._read_scan(row, images[position, 0].numpy(), masks[position, 0].numpy())
        items = tuple(self._items[row] for row in rows)
        return Batch(images, masks, rows, items, epoch)

    def _read_scan(
        self,
        row: int,
        image: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
        mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    ) -> None:
        try:
            offset, step = self._store.scale(row)
            stored = self._store.image(row)
            np.multiply(stored, np.float32(step), out=image, dtype=np.float32, casting="unsafe")
            image += np.float32(offset)
            mask[...] = self._store.mask(row)
        except (StoreError, OSError) as error:
            what = f"cannot be read from the store: {error}"
            raise StoreError(what, "", self._names[row]) from None

    def _pools_for(self, size: int) -> tuple[BufferPool, BufferPool]:
        if size not in self._pools:
            shape = (size, 1, *self._store.shape)
            self._pools[size] = (BufferPool(shape, np.float32), BufferPool(shape, np.bool_))
        return self._pools[size]
