"""What masked patches look like by the simplest guesses: bars that a reconstruction has to pass."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from neurofm.models.patches import Grid, patchify
from neurofm.models.vit import take
from neurofm.objectives.masking import Masking


def nearest_visible(
    patches: Float[Tensor, "batch patches voxels"], masking: Masking, sides: Grid, grid: Grid
) -> Float[Tensor, "batch masked voxels"]:
    """For each masked patch a copy of the visible one whose centre is nearest, counted in voxels.

    Of several equally near, the one that comes first in z, y, x order.

    Args:
        patches: all of each volume, from `patchify`.
        masking: which of them are visible.
        sides: of a patch (z, y, x), in voxels.
        grid: patches along each axis (z, y, x).
    """
    axes = [torch.arange(count) * side for count, side in zip(grid, sides, strict=True)]
    centres = torch.cartesian_prod(*axes).to(masking.kept.device)
    apart = centres[masking.masked][:, :, None] - centres[masking.kept][:, None]
    # Whole numbers, and the patch's own added: no two are the same.
    ranked = apart.square().sum(dim=3) * len(centres) + masking.kept[:, None]
    return take(patches, masking.kept.gather(1, ranked.argmin(dim=2)))


def from_mean_image(
    mean_image: Float[Tensor, "1 1 depth height width"], masking: Masking, sides: Grid
) -> Float[Tensor, "batch masked voxels"]:
    """For each masked patch the mean image's at the same place.

    Args:
        mean_image: of z-scored scans, on the grid of the volumes; see `mean_image`.
        masking: which patches are asked for.
        sides: of a patch (z, y, x), in voxels.
    """
    patches = patchify(mean_image, sides)
    return take(patches.expand(len(masking.masked), -1, -1), masking.masked)
