"""Which two boxes a pair of views shows: bounded stretch, enough overlap, enough brain.

Only boxes are compared, no voxel is read, so that rejecting a pair costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from neurofm.config.learning import ViewsConfig

Triple = tuple[int, int, int]
Boxes = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

# The ellipsoid (z, y, x) that overlaps most with the brain of MNI152 in the model's box, in mm from
# its corner: Dice 0.90. The share of a box it fills is off by 0.026 on average
# (tests/augment/test_crops.py).
_BRAIN_CENTRE_MM = (78.9, 92.3, 95.5)
_BRAIN_RADII_MM = (67.3, 87.6, 71.9)
_BOX_MM = (150, 192, 192)
_LATTICE = (75, 96, 96)


@dataclass(frozen=True)
class Crop:
    """A box of voxels: its first voxel and its size, both (z, y, x)."""

    start: Triple
    size: Triple


def are_limited(config: ViewsConfig) -> bool:
    """Whether any limit holds for the boxes of a pair; none does in the paper."""
    return bool(config.max_stretch_ratio or config.min_overlap or config.min_brain_fraction)


def draw_crops(
    stream: np.random.Generator, config: ViewsConfig, shape: Triple, spacing_mm: float
) -> tuple[Crop, Crop]:
    """Draw the boxes of two views: the first pair within all limits.

    Pairs are drawn as the paper draws two crops, `config.max_crop_draws` of them; where none is
    within the limits, both views show the whole volume, which always is.

    Args:
        stream: at the start of the pair's stream.
        config: smallest crop and limits.
        shape: voxels of the volume (z, y, x).
        spacing_mm: its voxel size.
    """
    pairs = (config.max_crop_draws, 2)
    size = stream.integers(
        smallest_crop(config, shape, spacing_mm), shape, (*pairs, 3), endpoint=True
    )
    start = stream.integers(0, np.subtract(shape, size), endpoint=True)
    fits = within_limits(start, size, shape, config)
    chosen = int(fits.argmax())
    if not fits[chosen]:
        return Crop((0, 0, 0), shape), Crop((0, 0, 0), shape)
    first, second = (
        Crop(_triple(start[chosen, view]), _triple(size[chosen, view])) for view in (0, 1)
    )
    return first, second


def smallest_crop(config: ViewsConfig, shape: Triple, spacing_mm: float) -> list[int]:
    """`min_crop_mm` in whole voxels, at least one and at most the volume."""
    return [
        min(full, max(1, round(length_mm / spacing_mm)))
        for full, length_mm in zip(shape, config.min_crop_mm, strict=True)
    ]


def within_limits(
    start: Boxes, size: Boxes, shape: Triple, config: ViewsConfig
) -> npt.NDArray[np.bool_]:
    """Whether each pair of boxes keeps the recipe's limits.

    Args:
        start, size: (pairs, 2, 3).
        shape: voxels of the volume (z, y, x).
        config: the limits.
    """
    fits = np.ones(len(size), dtype=np.bool_)
    if config.max_stretch_ratio is not None:
        fits &= (stretch_ratio(size, shape) <= config.max_stretch_ratio).all(axis=1)
    if config.min_overlap:
        fits &= overlap(start[:, 0], size[:, 0], start[:, 1], size[:, 1]) >= config.min_overlap
    if config.min_brain_fraction:
        left = np.flatnonzero(fits)
        share = brain_share(start[left], size[left], shape)
        fits[left] = (share >= config.min_brain_fraction).all(axis=1)
    return fits


def stretch_ratio(size: Boxes, shape: Triple) -> Numbers:
    """How much more the most stretched axis of a box is stretched than the least; 1 for none.

    Args:
        size: (..., 3) voxels of boxes that are resized to `shape`.
        shape: voxels of the volume (z, y, x).
    """
    shares = size / np.asarray(shape)
    return np.asarray(shares.max(axis=-1) / shares.min(axis=-1))


def overlap(start: Boxes, size: Boxes, other_start: Boxes, other_size: Boxes) -> Numbers:
    """Intersection over union of boxes, each argument (..., 3): 0 apart, 1 the same."""
    first = np.maximum(start, other_start)
    end = np.minimum(start + size, other_start + other_size)
    common = np.clip(end - first, 0, None).prod(axis=-1)
    return np.asarray(common / (size.prod(axis=-1) + other_size.prod(axis=-1) - common))


def brain_share(start: Boxes, size: Boxes, shape: Triple) -> Numbers:
    """Share of each box (..., 3) that an average brain fills, 0 to 1.

    The brain is an ellipsoid like MNI152's, since all scans are registered to it; the boxes are
    rounded to 2 mm.
    """
    table = _brain_table()
    scale = np.asarray(_LATTICE) / np.asarray(shape)
    low = np.rint(start * scale).astype(np.int64)
    high = np.maximum(np.rint((start + size) * scale).astype(np.int64), low + 1)
    high = np.minimum(high, _LATTICE)
    low = np.minimum(low, high - 1)
    inside = np.zeros(low.shape[:-1])
    for corner in range(8):
        upper = [bool(corner >> axis & 1) for axis in range(3)]
        z, y, x = (np.where(upper[axis], high[..., axis], low[..., axis]) for axis in range(3))
        inside += (1 if sum(upper) % 2 else -1) * table[z, y, x]
    return np.asarray(inside / (high - low).prod(axis=-1))


@lru_cache(maxsize=1)
def _brain_table() -> Numbers:
    """Lattice points of the brain before each corner, so that a box takes eight look-ups."""
    squared = np.zeros(_LATTICE)
    for axis in range(3):
        places_mm = (np.arange(_LATTICE[axis]) + 0.5) * _BOX_MM[axis] / _LATTICE[axis]
        distance = (places_mm - _BRAIN_CENTRE_MM[axis]) / _BRAIN_RADII_MM[axis]
        squared += (distance**2).reshape([-1 if a == axis else 1 for a in range(3)])
    table: Numbers = (squared < 1).astype(np.float64)
    for axis in range(3):
        table = table.cumsum(axis=axis)
    return np.pad(table, ((1, 0), (1, 0), (1, 0)))


def _triple(values: Boxes) -> Triple:
    return int(values[0]), int(values[1]), int(values[2])
