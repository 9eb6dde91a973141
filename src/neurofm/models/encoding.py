"""Features of many volumes with a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask


def encode(
    encoder: nn.Module, batches: Iterable[Batch], device: torch.device | str = "cpu"
) -> Float[np.ndarray, "scans features"]:
    """Z-score every volume inside its mask and take its features, in evaluation mode.

    Args:
        encoder: maps (batch, 1, depth, height, width) to (batch, features); it is moved to the
            device and left in evaluation mode.
        batches: volumes with intensities as they were packed, at least one batch.
        device: where to compute.

    Returns:
        float32 features in the order of the batches.
    """
    moved = (batch.to(device) for batch in batches)
    volumes = (zscore_in_mask(batch.images, batch.masks) for batch in moved)
    return encode_volumes(encoder, volumes, device)


@torch.inference_mode()
def encode_volumes(
    encoder: nn.Module,
    volumes: Iterable[Float[Tensor, "batch 1 depth height width"]],
    device: torch.device | str = "cpu",
) -> Float[np.ndarray, "scans features"]:
    """The same for volumes that are z-scored already; at least one batch of them."""
    encoder = encoder.to(device).eval()
    with _unrounded_convolutions():
        rows = [encoder(batch.to(device)).float().cpu().numpy() for batch in volumes]
    return np.concatenate(rows)


@contextmanager
def _unrounded_convolutions() -> Iterator[None]:
    """No TF32 on a GPU: features there differ from a CPU's, or another batch's, by float32 only."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
