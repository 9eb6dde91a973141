"""The last step before a network: z-score inside the brain, zero outside."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neurofm.store.model_input import to_model_order
from neurofm.volumes.volume import Volume


def zscore_in_mask(
    images: Float[Tensor, "batch 1 depth height width"],
    masks: Bool[Tensor, "batch 1 depth height width"],
) -> Float[Tensor, "batch 1 depth height width"]:
    """Give every image mean 0 and standard deviation 1 inside its mask, and 0 outside.

    The standard deviation is the population's (divided by the number of voxels), as in the paper's
    released preparation. Sums run over residuals from a first mean, so that a bright image with
    little contrast (30000 +- 5) keeps its precision. An empty mask, or one over a constant image,
    gives zeros.

    Args:
        images: any finite intensities inside the mask; what lies outside is ignored, NaN too.
        masks: inside the brain.
    """
    outside = ~masks
    counts = masks.sum(dim=_VOXELS, keepdim=True).clamp(min=1).to(images.dtype)
    result = images.masked_fill(outside, 0)
    first_mean = _mean(result, counts)
    result -= first_mean
    result.masked_fill_(outside, 0)
    correction = _mean(result, counts)
    squares = torch.linalg.vector_norm(result, dim=(3, 4), keepdim=True).square()
    variance = squares.sum(dim=2, keepdim=True) / counts - correction.square()
    noise = (_FLOAT_NOISE * first_mean).square()
    scale = torch.where(variance > noise, variance.clamp(min=0).rsqrt(), 0)
    result -= correction
    result *= scale
    return result.masked_fill_(outside, 0)


def model_input(
    image: Volume, mask: Volume, spacing_mm: float
) -> tuple[Float[Tensor, "1 1 depth height width"], Bool[Tensor, "1 1 depth height width"]]:
    """A preprocessed scan as a model takes it: box, spacing, (z, y, x) order, not yet z-scored.

    Raises:
        ScanError: the scan is not on the template grid.
        ConfigError: the scan is coarser than `spacing_mm`.
    """
    intensities, inside = to_model_order(image, mask, spacing_mm)
    return torch.from_numpy(intensities)[None, None], torch.from_numpy(inside)[None, None]


_VOXELS = (1, 2, 3, 4)
_FLOAT_NOISE = 3e-7  # of the mean: what float32 cannot tell from a constant


def _mean(residuals: Tensor, counts: Tensor) -> Tensor:
    """Mean over a mask of images that are zero outside it; sums of slices first, for precision."""
    slices = residuals.sum(dim=(3, 4), keepdim=True)
    return slices.sum(dim=2, keepdim=True) / counts
