"""Gradient caching: a contrastive loss over a batch whose activations are never all there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Encode: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]


def encode_in_parts(
    encode: Encode, images: Float[Tensor, "batch 1 depth height width"], rows: int
) -> tuple[Float[Tensor, "batch features"], Float[Tensor, "batch dim"]]:
    """`encode(images)`, some rows at a time, with activations of one part alive at most.

    Forward keeps features and projections only. Backward brings the loss's gradient to the
    projections of all, then encodes part after part again and goes on through it. Equal to the
    plain gradient where no row's features depend on another row: group norm, never batch norm.
    Gao et al. 2021 (GradCache); done by PyTorch's checkpointing.

    Args:
        encode: images to features and projections.
        images: of a batch.
        rows: of a part.
    """
    starts = range(0, len(images), rows)
    parts = [
        checkpoint(encode, images[start : start + rows], use_reentrant=False) for start in starts
    ]
    return torch.cat([h for h, _ in parts]), torch.cat([z for _, z in parts])
