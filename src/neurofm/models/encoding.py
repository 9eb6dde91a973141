"""Features of many volumes with a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask


@torch.inference_mode()
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
    encoder = encoder.to(device).eval()
    rows = []
    for batch in batches:
        moved = batch.to(device)
        rows.append(encoder(zscore_in_mask(moved.images, moved.masks)).float().cpu().numpy())
    return np.concatenate(rows)
