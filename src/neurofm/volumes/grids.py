"""The grids a scan travels through: MNI152 2009c template space and the box the model sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofm.errors import ConfigError

# MNI152 ICBM nonlinear symmetric 2009c, 1 mm: 193x229x193 voxels, first voxel at this place (mm).
TEMPLATE_SHAPE = (193, 229, 193)
TEMPLATE_ORIGIN_MM = (-96.0, -132.0, -78.0)
# The paper's crop of it, x y z, as [first, last) voxels: 192 x 192 x 150 mm.
MODEL_BOX = ((1, 193), (19, 211), (10, 160))


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: a shape (x, y, z) and an affine to mm, RAS+."""

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]


def model_shape(spacing_mm: float) -> tuple[int, int, int]:
    """Shape (z, y, x) of the model's 150x192x192 mm box at an isotropic spacing.

    Raises:
        ConfigError: the spacing does not divide the box into whole voxels.
    """
    x, y, z = (_whole_voxels(high - low, spacing_mm) for low, high in MODEL_BOX)
    return z, y, x


def template_grid(spacing_mm: float = 1.0) -> Grid:
    """The MNI152 2009c grid, or a coarser one whose voxels tile the model's box exactly.

    At 1 mm this is 193x229x193 as published. At a coarser spacing the voxels' edges coincide with
    the model box's edges, and the grid covers the 1 mm template except where less than one coarse
    voxel sticks out.
    """
    slices = model_box(spacing_mm)
    shape, origin = [], []
    for axis, (low, high) in enumerate(MODEL_BOX):
        before = slices[axis].start
        after = int((TEMPLATE_SHAPE[axis] - high) / spacing_mm)
        shape.append(before + _whole_voxels(high - low, spacing_mm) + after)
        edge_mm = TEMPLATE_ORIGIN_MM[axis] + low - 0.5 - before * spacing_mm
        origin.append(edge_mm + spacing_mm / 2)
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = origin
    return Grid((shape[0], shape[1], shape[2]), affine)


def model_box(spacing_mm: float = 1.0) -> tuple[slice, slice, slice]:
    """Slices (x, y, z) that cut the model's box out of `template_grid(spacing_mm)`."""
    slices = []
    for low, high in MODEL_BOX:
        before = int(low / spacing_mm)
        slices.append(slice(before, before + _whole_voxels(high - low, spacing_mm)))
    return slices[0], slices[1], slices[2]


def _whole_voxels(length_mm: int, spacing_mm: float) -> int:
    voxels = length_mm / spacing_mm
    if abs(voxels - round(voxels)) > 1e-6:
        raise ConfigError(
            f"a spacing of {spacing_mm} mm does not divide {length_mm} mm into whole voxels",
            "use 1, 1.5, 2, 3 or 6",
            "spacing_mm",
        )
    return round(voxels)
