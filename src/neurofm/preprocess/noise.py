"""How clear a result is: contrast of the tissues and brightness, over the noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofm.preprocess.resampling import crop_around
from neurofm.preprocess.tissue import GREY, WHITE

Floats = npt.NDArray[np.float32]

# Where the atlas is as sure of white matter as this, voxels differ from neighbours by noise.
_WHITE_PRIOR = 0.8
# Median of a normal variable's size -> its standard deviation.
_DEVIATION_OF_MEDIAN = 1.4826
# A voxel minus the mean of its six neighbours has 7/6 of the variance of one voxel.
_VARIANCE_OF_DIFFERENCE = 7 / 6
# Larger ratios say no more than this one; a simulated image has no noise at all.
_LARGEST = 1000.0


@dataclass(frozen=True)
class Clarity:
    """Ratios without a unit, at most 1000.

    Attributes:
        contrast_to_noise: white matter's mean minus grey matter's, over the noise.
        signal_to_noise: white matter's mean over the noise.
    """

    contrast_to_noise: float
    signal_to_noise: float


def clarity_of(image: Floats, tissue: npt.NDArray[np.uint8], white_prior: Floats) -> Clarity:
    """Measure contrast and noise on the template's grid.

    The noise is that of the result: resampling has averaged some of the scan's own away.

    Args:
        image: (x, y, z) intensities that are zero where the scan was dark.
        tissue: (x, y, z) tissue map.
        white_prior: (x, y, z) the atlas probability of white matter.
    """
    white, grey = image[tissue == WHITE], image[tissue == GREY]
    sure = (white_prior > _WHITE_PRIOR) & (tissue > 0)
    if not (white.size and grey.size and sure.any()):
        return Clarity(0.0, 0.0)
    noise = max(_noise(image, sure), 1e-12)
    signal, contrast = float(white.mean()), float(white.mean() - grey.mean())
    return Clarity(min(contrast / noise, _LARGEST), min(signal / noise, _LARGEST))


def _noise(image: Floats, where: npt.NDArray[np.bool_]) -> float:
    box = crop_around(where, (1, 1, 1))
    image, where = image[box], where[box]
    inner = (slice(1, -1),) * 3
    around = np.zeros_like(image[inner])
    for axis in range(3):
        for shift in (-1, 1):
            part = list(inner)
            part[axis] = slice(1 + shift, image.shape[axis] - 1 + shift)
            around += image[tuple(part)]
    difference = np.abs(image[inner] - around / np.float32(6))[where[inner]]
    spread = float(np.median(difference)) if difference.size else 0.0
    return _DEVIATION_OF_MEDIAN * spread / float(np.sqrt(_VARIANCE_OF_DIFFERENCE))
