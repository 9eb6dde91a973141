"""The last step before a network: z-score inside the brain, zero outside."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neurofm.store.model_input import to_model_order
from neurofm.volumes.volume import Volume

FLOAT_NOISE = 3e-7  # of the mean: what float32 cannot tell from a constant


def zscore_in_mask(
    images: Float[Tensor, "batch 1 depth height width"],
    masks: Bool[Tensor, "batch 1 depth height width"],
) -> Float[Tensor, "batch 1 depth height width"]:
    """A copy of `images` that `zscore_in_mask_` has normalised."""
    return zscore_in_mask_(images.clone(), masks)


def zscore_in_mask_(
    images: Float[Tensor, "batch 1 depth height width"],
    masks: Bool[Tensor, "batch 1 depth height width"],
) -> Float[Tensor, "batch 1 depth height width"]:
    """Give every image, in place, mean 0 and standard deviation 1 inside its mask, and 0 outside.

    The standard deviation is the population's (divided by the number of voxels), as in the paper's
    released preparation. Sums run over residuals from a first mean, so that a bright image with
    little contrast (30000 +- 5) keeps its precision. An empty mask, or one over a constant image,
    gives zeros.

    Args:
        images: finite intensities; those outside the mask are ignored.
        masks: inside the brain.
    """
    weights = masks.to(images.dtype)
    counts = _per_image(weights.sum(dim=(3, 4))).clamp(min=1)
    images.mul_(weights)
    first_mean = _per_image(images.sum(dim=(3, 4))) / counts
    images.addcmul_(weights, -first_mean)
    correction = _per_image(images.sum(dim=(3, 4))) / counts
    squares = torch.linalg.vector_norm(images, dim=(3, 4)).square()
    variance = _per_image(squares) / counts - correction.square()
    noise = (FLOAT_NOISE * first_mean).square()
    scale = torch.where(variance > noise, variance.clamp(min=0).rsqrt(), 0)
    return images.mul_(scale).addcmul_(weights, -correction * scale)


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


def _per_image(slices: Float[Tensor, "batch 1 depth"]) -> Float[Tensor, "batch 1 1 1 1"]:
    """Add up sums of slices; two short sums lose less precision than one long one."""
    return slices.sum(dim=2)[..., None, None, None]
