"""Where a view's voxels come from: crop and resize, flip, in-plane rotation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Volume = Float[Tensor, "1 1 depth height width"]
Mask = Bool[Tensor, "1 1 depth height width"]
Volumes = Float[Tensor, "batch 1 depth height width"]
Masks = Bool[Tensor, "batch 1 depth height width"]


def crop_and_resize(
    image: Volume,
    mask: Mask,
    start: tuple[int, int, int],
    size: tuple[int, int, int],
    flip: bool,
) -> tuple[Volume, Mask]:
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


def rotate_in_plane(
    images: Volumes, masks: Masks, radians: Sequence[float]
) -> tuple[Volumes, Masks]:
    """Rotate every slice of the first axis about its centre, keeping the size.

    A voxel (y, x) of the result takes its value from the centre plus
    (cos y - sin x, sin y + cos x) of its distance to the centre: bilinear in the image, nearest
    (half to even) in the mask; beyond the border the border's value goes on. A rotation about the
    first axis never mixes slices, so they pass as channels of one 2D sampling.

    Args:
        images: volumes.
        masks: their masks.
        radians: angle of each volume, from the second axis towards the third.
    """
    depth, height, width = images.shape[2:]
    grids = _rotation_grids(radians, height, width, images.device)
    rotated = functional.grid_sample(
        images[:, 0],
        grids.to(images.dtype),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    places = _nearest_places(grids, height, width)
    flat = masks.reshape(len(masks), depth, height * width)
    moved = [mask.index_select(1, place) for mask, place in zip(flat, places, strict=True)]
    return rotated[:, None], torch.stack(moved).reshape(masks.shape)


def _rotation_grids(
    radians: Sequence[float], height: int, width: int, device: torch.device
) -> Float[Tensor, "batch height width 2"]:
    """Where each pixel comes from, as (x, y) between -1 and 1 at the outer pixel edges.

    In float64, so that the nearest pixel is the true one up to ties.
    """
    rows = [
        [
            [math.cos(angle), math.sin(angle) * height / width, 0.0],
            [-math.sin(angle) * width / height, math.cos(angle), 0.0],
        ]
        for angle in radians
    ]
    affine = torch.tensor(rows, dtype=torch.float64, device=device)
    return functional.affine_grid(affine, [len(rows), 1, height, width], align_corners=False)


def _nearest_places(
    grids: Float[Tensor, "batch height width 2"], height: int, width: int
) -> Int[Tensor, "batch pixels"]:
    """Flat index of the pixel nearest to each place of sampling grids."""
    x = (((grids[..., 0] + 1) * width - 1) / 2).clamp(0, width - 1).round().long()
    y = (((grids[..., 1] + 1) * height - 1) / 2).clamp(0, height - 1).round().long()
    return (y * width + x).flatten(1)
