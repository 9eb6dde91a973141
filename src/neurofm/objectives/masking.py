"""Which patches a masked autoencoder sees: drawn for each participant and step by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from neurofm.seeds import random_stream


@dataclass(frozen=True, eq=False)
class Masking:
    """The patches of each volume in two parts, both in ascending order.

    Attributes:
        kept: what the encoder sees.
        masked: what is to be predicted.
    """

    kept: Int[Tensor, "batch kept"]
    masked: Int[Tensor, "batch masked"]


def draw_masking(items: Sequence[str], patches: int, ratio: float, seed: int, step: int) -> Masking:
    """Draw the masked patches of each item; a function of (seed, step, item) alone.

    Args:
        items: participant of each row.
        patches: of a volume.
        ratio: share that is masked, rounded to whole patches; at least one is masked and one kept.
        seed: the recipe's.
        step: of the run.
    """
    count = masked_count(patches, ratio)
    orders = np.stack(
        [random_stream("masking", seed, step, item).permutation(patches) for item in items]
    )
    masked, kept = np.sort(orders[:, :count]), np.sort(orders[:, count:])
    return Masking(torch.from_numpy(kept), torch.from_numpy(masked))


def masked_count(patches: int, ratio: float) -> int:
    """How many of `patches` are masked."""
    return min(max(round(patches * ratio), 1), patches - 1)
