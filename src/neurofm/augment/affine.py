"""A small random turn, scaling and move of a view in three dimensions, as MONAI's RandAffine.

`draw_affine` draws the numbers, `move_affinely` applies them with torch; `cpu_affine` does so
compiled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from neurofm.config.affine import AffineConfig

Padding = Literal["reflection", "border", "zeros"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class AffineDraw:
    """Where the voxels of a moved volume come from; all triples are (z, y, x).

    As in MONAI the map leads from the result back to its source: a scale of 1.1 shows the head at
    1 / 1.1 of its size, and a positive translation moves it towards the first voxel.

    Attributes:
        rotation_radians: about the first, second and third axis.
        scale: of distances to the middle; 1 for none.
        translation_voxels: added after scaling, before the turn.
        padding: what lies beyond the border.
    """

    rotation_radians: Triple
    scale: Triple
    translation_voxels: Triple
    padding: Padding = "reflection"

    def matrix(self) -> npt.NDArray[np.float64]:
        """(3, 4): a voxel's place in the source, both counted from the middle of the volume.

        Turn about the first, then the second, then the third axis, each about an axis that the
        turns before it have moved, times the translation, times the scaling.
        """
        turn = np.eye(3)
        for axis, radians in enumerate(self.rotation_radians):
            turn = turn @ _turn_about(axis, radians)
        linear = turn * np.asarray(self.scale)
        return np.column_stack([linear, turn @ np.asarray(self.translation_voxels)])


def draw_affine(
    stream: np.random.Generator, config: AffineConfig, spacing_mm: float
) -> AffineDraw | None:
    """Draw an affine map, or None for none. Every number is drawn whether it is used or not.

    Args:
        stream: at the start of its own stream.
        config: probability and ranges.
        spacing_mm: voxel size of the volume.
    """
    happens = stream.random() < config.probability
    largest_voxels = config.translation_mm / spacing_mm
    radians = stream.uniform(-config.rotation_radians, config.rotation_radians, 3)
    voxels = stream.uniform(-largest_voxels, largest_voxels, 3)
    scale = 1 + stream.uniform(-config.scale, config.scale, 3)
    if not happens:
        return None
    return AffineDraw(_triple(radians), _triple(scale), _triple(voxels), config.padding)


def move_affinely(
    image: Float[Tensor, "1 1 depth height width"],
    mask: Bool[Tensor, "1 1 depth height width"],
    draw: AffineDraw,
) -> tuple[Float[Tensor, "1 1 depth height width"], Bool[Tensor, "1 1 depth height width"]]:
    """Move one volume: image trilinear, mask nearest (half to even); both results are new.

    Equal to MONAI's Affine with the same numbers. The mask's places are computed in float64, so
    that the nearest voxel is the true one up to ties.

    Args:
        image: intensities.
        mask: inside the brain.
        draw: the map.
    """
    grid = _sampling_grid(draw, image.shape[2:], image.device)
    moved = functional.grid_sample(
        image,
        grid.to(image.dtype),
        mode="bilinear",
        padding_mode=draw.padding,
        align_corners=False,
    )
    return moved, _nearest(mask, grid, draw.padding)


def _sampling_grid(
    draw: AffineDraw, shape: torch.Size, device: torch.device
) -> Float[Tensor, "1 depth height width 3"]:
    """Where each voxel comes from, as (x, y, z) between -1 and 1 at the outer voxel edges."""
    matrix, sizes = draw.matrix(), np.asarray(shape, dtype=np.float64)
    matrix[:, :3] *= sizes[None, :] / sizes[:, None]
    matrix[:, 3] *= 2 / sizes
    reversed_axes = matrix[::-1, [2, 1, 0, 3]].copy()
    affine = torch.from_numpy(reversed_axes).to(device)[None]
    return functional.affine_grid(affine, [1, 1, *shape], align_corners=False)


def _nearest(
    mask: Bool[Tensor, "1 1 depth height width"],
    grid: Float[Tensor, "1 depth height width 3"],
    padding: Padding,
) -> Bool[Tensor, "1 1 depth height width"]:
    """The mask's voxel nearest to each place."""
    flat = torch.zeros(mask.shape[2:], dtype=torch.long, device=mask.device)
    inside = torch.ones_like(flat, dtype=torch.bool)
    for axis, size in enumerate(mask.shape[2:]):
        place = ((grid[0, ..., 2 - axis] + 1) * size - 1) / 2
        if padding == "reflection":
            place = size - (torch.remainder(place + 0.5, 2 * size) - size).abs() - 0.5
        nearest = place.round().long()
        if padding == "zeros":
            inside &= (nearest >= 0) & (nearest < size)
        flat = flat * size + nearest.clamp(0, size - 1)
    return (mask.flatten()[flat] & inside)[None, None]


def _turn_about(axis: int, radians: float) -> npt.NDArray[np.float64]:
    """Rotation about one of three axes; from the next axis towards the one after it."""
    turn = np.eye(3)
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn[one, one] = turn[other, other] = math.cos(radians)
    turn[one, other], turn[other, one] = -math.sin(radians), math.sin(radians)
    return turn


def _triple(values: npt.NDArray[np.float64]) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
