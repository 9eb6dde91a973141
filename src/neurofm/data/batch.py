"""A batch: some scans as tensors, with their places in the store and their participants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8, UInt16
from torch import Tensor


@dataclass(frozen=True)
class BadScan:
    """A scan that a batch has to do without: NaN stands in its place, so it teaches nothing.

    Attributes:
        row: in the store.
        reason: one line, with the name of the scan or participant.
    """

    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class Batch:
    """Scans that pass through a network together.

    Attributes:
        images: (batch, 1, depth, height, width) float32; intensities, or z-scored where said so.
        masks: same shape, bool; inside the brain.
        rows: row in the store of each scan; -1 for a scan that is in no store.
        items: participant key of each scan ("cohort/participant_id"), the item of random streams.
        epoch: the epoch the batch belongs to, from 0.
        views: views of the scans made beforehand, in their order; `images` and `masks` are then
            those of the first. Empty where views are still to be made.
        second: other scans of the same participants, which the second view is made of; None where
            both views are of the same scans.
        step: of the run that learns from the batch, from 1; 0 outside a run.
        bad_scans: of the batch, its second scans and its views; empty unless something is wrong.
    """

    images: Float[Tensor, "batch 1 depth height width"]
    masks: Bool[Tensor, "batch 1 depth height width"]
    rows: tuple[int, ...]
    items: tuple[str, ...]
    epoch: int
    views: tuple[Batch, ...] = ()
    second: Batch | None = None
    step: int = 0
    bad_scans: tuple[BadScan, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device, its views included."""
        return replace(
            self,
            images=self.images.to(device),
            masks=self.masks.to(device),
            views=tuple(view.to(device) for view in self.views),
            second=None if self.second is None else self.second.to(device),
        )

    def parts(self, count: int) -> tuple[Batch, ...]:
        """The batch cut into so many equal parts, in their order, each with its views."""
        if count == 1:
            return (self,)
        size = len(self) // count
        return tuple(self._rows(slice(i * size, (i + 1) * size)) for i in range(count))

    def with_bad_scans(self, notes: Iterable[BadScan | None]) -> Batch:
        """The same batch with these notes; of a scan the first counts."""
        first: dict[int, BadScan] = {}
        for note in notes:
            if note is not None:
                first.setdefault(note.row, note)
        return replace(self, bad_scans=tuple(first.values()))

    def _rows(self, chosen: slice) -> Batch:
        second = None if self.second is None else self.second._rows(chosen)
        rows = self.rows[chosen]
        return replace(
            self,
            images=self.images[chosen],
            masks=self.masks[chosen],
            rows=rows,
            items=self.items[chosen],
            views=tuple(view._rows(chosen) for view in self.views),
            second=second,
            bad_scans=tuple(
                bad for bad in self.bad_scans if bad.row in rows + (second.rows if second else ())
            ),
        )


@dataclass(frozen=True, eq=False)
class StoredBatch:
    """Scans as the store holds them: less than half the bytes of a `Batch`.

    Attributes:
        codes: stored intensities; intensity = offset + step * code.
        bits: the masks, one bit a voxel, the highest bit of a byte first.
        scales: offset and step of each scan; NaN of a bad one.
        rows, items, epoch, bad_scans: as in `Batch`.
    """

    codes: UInt16[Tensor, "batch depth height width"]
    bits: UInt8[Tensor, "batch bytes"]
    scales: tuple[tuple[float, float], ...]
    rows: tuple[int, ...]
    items: tuple[str, ...]
    epoch: int
    bad_scans: tuple[BadScan, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def decoded_on(self, device: torch.device | str) -> Batch:
        """Copy to a device and decode there, bit for bit as `ScanLoader.batches` does."""
        codes, bits = self.codes.to(device), self.bits.to(device)
        images = torch.empty(codes.shape, device=device)
        masks = torch.empty(codes.shape, dtype=torch.bool, device=device)
        shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=device)
        for i, (offset, step) in enumerate(self.scales):
            # uint16 is young in torch; these types every device knows
            images[i] = codes[i].view(torch.int16).int().bitwise_and_(0xFFFF)
            images[i].mul_(_float32(step)).add_(_float32(offset))
            inside = ((bits[i, :, None] >> shifts) & 1).flatten()
            masks[i] = inside[: masks[i].numel()].reshape(masks[i].shape)
        return Batch(
            images[:, None],
            masks[:, None],
            self.rows,
            self.items,
            self.epoch,
            bad_scans=self.bad_scans,
        )


def _float32(number: float) -> float:
    return float(torch.tensor(number, dtype=torch.float32))
