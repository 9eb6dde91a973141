"""The random numbers of one view: drawn from a named stream, before any voxel is touched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurofm.config.learning import ViewsConfig


@dataclass(frozen=True)
class ViewDraw:
    """What happens to a volume on its way to a view.

    Attributes:
        crop_start: first voxel of the crop (z, y, x).
        crop_size: voxels of the crop (z, y, x).
        flip: left and right change places.
        rotation_radians: in-plane angle about the first axis, or None for no rotation.
        shift: added to every intensity; 0 for no shift.
        gamma: contrast exponent, or None for no change of contrast.
    """

    crop_start: tuple[int, int, int]
    crop_size: tuple[int, int, int]
    flip: bool
    rotation_radians: float | None
    shift: float
    gamma: float | None


def draw_view(
    stream: np.random.Generator,
    config: ViewsConfig,
    shape: tuple[int, int, int],
    spacing_mm: float,
) -> ViewDraw:
    """Draw one view as the paper does (section 4.2): crop, flip, rotation, shift, contrast.

    Each axis's crop size is uniform between the smallest and the full size, its place uniform
    among those that fit. Every number is drawn whether it is used or not, so that changing one
    probability leaves all other draws as they were.

    Args:
        stream: at the start of the view's stream.
        config: probabilities and ranges; `min_crop_mm` is rounded to whole voxels.
        shape: voxels of the volume (z, y, x).
        spacing_mm: its voxel size.
    """
    smallest = [
        min(full, max(1, round(length_mm / spacing_mm)))
        for full, length_mm in zip(shape, config.min_crop_mm, strict=True)
    ]
    size = stream.integers(smallest, shape, endpoint=True)
    start = stream.integers(0, np.subtract(shape, size), endpoint=True)
    flip = stream.random() < config.flip_probability
    rotates = stream.random() < config.rotation_probability
    angle = stream.uniform(-config.rotation_radians, config.rotation_radians)
    shifts = stream.random() < config.intensity_shift_probability
    shift = stream.uniform(-config.intensity_shift, config.intensity_shift)
    contrasts = stream.random() < config.gamma_probability
    gamma = stream.uniform(*config.gamma_range)
    return ViewDraw(
        crop_start=(int(start[0]), int(start[1]), int(start[2])),
        crop_size=(int(size[0]), int(size[1]), int(size[2])),
        flip=bool(flip),
        rotation_radians=float(angle) if rotates else None,
        shift=float(shift) if shifts else 0.0,
        gamma=float(gamma) if contrasts else None,
    )
