"""Slices of volumes in three planes, for pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

PLANES = ("axial", "coronal", "sagittal")


def cut(volume: npt.NDArray[Any], plane: int, place: int) -> npt.NDArray[Any]:
    """A slice across axis `plane` (z, y, x), its last axis to the right: left is on the left."""
    return np.asarray(volume.take(place, axis=plane))


def brain_middle(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    """The middle (z, y, x) of a brain; of the volume where there is none."""
    if not mask.any():
        return mask.shape[0] // 2, mask.shape[1] // 2, mask.shape[2] // 2
    z, y, x = (
        int(np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))).mean())
        for axis in range(3)
    )
    return z, y, x
