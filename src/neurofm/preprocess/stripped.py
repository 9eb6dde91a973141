"""Scans that come stripped: one object of a brain's size in exactly constant background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.preprocess.resampling import crop_around
from neurofm.volumes.volume import Volume

# What a stripped scan looks like: much exactly constant background around one object of the size
# of a brain, with some dura and skull left perhaps. A whole head, even defaced, has over 3000 mL.
STRIPPED_BACKGROUND_SHARE = 0.3
STRIPPED_BOUNDS_ML = (400.0, 2400.0)


def stripped_brain(scan: Volume) -> npt.NDArray[np.bool_] | None:
    """The brain of a scan that was stripped before, or None where the scan is a whole head."""
    foreground = scan.array != background_value(scan.array)
    if foreground.mean() > 1 - STRIPPED_BACKGROUND_SHARE:
        return None
    low, high = STRIPPED_BOUNDS_ML
    if not low <= foreground.sum() * scan.voxel_ml <= high:
        return None
    box = crop_around(foreground, (1, 1, 1))
    brain = np.zeros_like(foreground)
    brain[box] = ndimage.binary_fill_holes(largest_component(foreground[box]))
    return brain if brain.sum() * scan.voxel_ml >= low else None


def largest_component(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest part of a mask that hangs together through voxel faces."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def background_value(array: npt.NDArray[np.generic]) -> float:
    """The commonest value on the six faces of the array."""
    faces = [np.take(array, index, axis).ravel() for axis in range(3) for index in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    return float(values[counts.argmax()])
