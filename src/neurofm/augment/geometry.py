"""Where a view's voxels come from: crop and resize, flip, in-plane rotation."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Volumes = Float[Tensor, "1 1 depth height width"]
Masks = Bool[Tensor, "1 1 depth height width"]


def crop_and_resize(
    image: Volumes,
    mask: Masks,
    start: tuple[int, int, int],
    size: tuple[int, int, int],
    flip: bool,
) -> tuple[Volumes, Masks]:
    """Cut a box out, stretch it to the full grid, perhaps flip it: image trilinear, mask nearest.

    Half-pixel centres, no smoothing; the mask takes the voxel at floor(index * scale). Both
    results are new tensors. The image's box is flipped before it is stretched, which is the same
    and moves fewer voxels; the mask's rule has no such symmetry, so it is flipped afterwards.

    Args:
        image: one volume.
        mask: its mask.
        start: first voxel of the box (z, y, x).
        size: voxels of the box (z, y, x).
        flip: turn the last axis round.
    """
    full = image.shape[2:]
    z, y, x = (slice(low, low + count) for low, count in zip(start, size, strict=True))
    box = image[..., z, y, x].flip(-1) if flip else image[..., z, y, x]
    resized = functional.interpolate(box, size=full, mode="trilinear", align_corners=False)
    mask_box = mask[..., z, y, x].view(torch.uint8)
    moved = functional.interpolate(mask_box, size=full, mode="nearest").view(torch.bool)
    return resized, moved.flip(-1) if flip else moved


def rotate_in_plane(image: Volumes, mask: Masks, radians: float) -> tuple[Volumes, Masks]:
    """Rotate every slice of the first axis about its centre, keeping the size.

    A voxel (y, x) of the result takes its value from the centre plus
    (cos y - sin x, sin y + cos x) of its distance to the centre: bilinear in the image, nearest
    (half to even) in the mask; beyond the border the border's value goes on. A rotation about the
    first axis never mixes slices, so they pass as channels of one 2D sampling.

    Args:
        image: one volume.
        mask: its mask.
        radians: angle from the second axis towards the third.
    """
    depth, height, width = image.shape[2:]
    grid = _rotation_grid(radians, height, width)
    rotated = functional.grid_sample(
        image[:, 0],
        grid.to(image),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    places = _nearest_places(grid[0], height, width).to(mask.device)
    moved = mask.reshape(depth, height * width).index_select(1, places)
    return rotated[:, None], moved.reshape(mask.shape)


def _rotation_grid(radians: float, height: int, width: int) -> Float[Tensor, "1 height width 2"]:
    """Where each pixel comes from, as (x, y) between -1 and 1 at the outer pixel edges.

    In float64, so that the nearest pixel is the true one up to ties.
    """
    cos, sin = math.cos(radians), math.sin(radians)
    rows = [[cos, sin * height / width, 0.0], [-sin * width / height, cos, 0.0]]
    affine = torch.tensor([rows], dtype=torch.float64)
    return functional.affine_grid(affine, [1, 1, height, width], align_corners=False)


def _nearest_places(
    grid: Float[Tensor, "height width 2"], height: int, width: int
) -> Int[Tensor, " pixels"]:
    """Flat index of the pixel nearest to each place of a sampling grid."""
    x = (((grid[..., 0] + 1) * width - 1) / 2).clamp(0, width - 1).round().long()
    y = (((grid[..., 1] + 1) * height - 1) / 2).clamp(0, height - 1).round().long()
    return (y * width + x).flatten()
