"""Sixteen bits a voxel: each scan with its own offset and step, untouched by a wild voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_LEVELS = 65535
_TAIL = 0.0005  # share of voxels that may be wild on either side
_MARGIN = 3.0  # how many central ranges a voxel may lie outside the central range


@dataclass(frozen=True, eq=False)
class Quantised:
    """A stored image: value = offset + step * stored.

    Attributes:
        stored: same shape as the image, uint16.
        offset: intensity of stored 0.
        step: intensity between neighbouring levels; the error is half of it at most.
        clipped_voxels: wild voxels that were moved to the end of the range.
    """

    stored: npt.NDArray[np.uint16]
    offset: float
    step: float
    clipped_voxels: int


def quantise(image: npt.NDArray[np.float32]) -> Quantised:
    """Store an image in 65,536 even levels between its lowest and highest sensible intensity.

    The range is minimum to maximum, unless these lie more than three times the range of the
    central 99.9 % of voxels outside it: one voxel of 1e30 costs no precision elsewhere.

    Args:
        image: any shape, float32, finite.
    """
    low, high = _sensible_range(image)
    step = (high - low) / _LEVELS or 1.0
    clipped = int(np.count_nonzero((image < low) | (image > high)))
    scaled = np.clip(image, np.float32(low), np.float32(high))
    scaled -= np.float32(low)
    scaled *= np.float32(1 / step)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, _LEVELS, out=scaled)
    return Quantised(scaled.astype(np.uint16), low, step, clipped)


def _sensible_range(image: npt.NDArray[np.float32]) -> tuple[float, float]:
    lowest, highest = float(image.min()), float(image.max())
    rank = int(image.size * _TAIL)
    ordered = np.partition(image, (rank, image.size - 1 - rank), axis=None)
    low, high = float(ordered[rank]), float(ordered[image.size - 1 - rank])
    if low == high:  # fewer voxels differ than may be wild: nothing to judge wildness by
        return lowest, highest
    margin = _MARGIN * (high - low)
    return (
        float(np.float32(max(lowest, low - margin))),
        float(np.float32(min(highest, high + margin))),
    )
