"""A batch: some scans as tensors, with their places in the store and their participants."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Scans that pass through a network together.

    Attributes:
        images: (batch, 1, depth, height, width) float32; intensities, or z-scored where said so.
        masks: same shape, bool; inside the brain.
        rows: row in the store of each scan; -1 for a scan that is in no store.
        items: participant key of each scan ("cohort/participant_id"), the item of random streams.
        epoch: the epoch the batch belongs to, from 0.
    """

    images: Float[Tensor, "batch 1 depth height width"]
    masks: Bool[Tensor, "batch 1 depth height width"]
    rows: tuple[int, ...]
    items: tuple[str, ...]
    epoch: int

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            masks=self.masks.to(device, non_blocking=True),
        )
