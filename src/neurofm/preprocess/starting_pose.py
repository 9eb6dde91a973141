"""Where registration starts: a coarse search over turned heads, before ANTs refines."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from neurofm.preprocess.joint_histogram import joint_histogram
from neurofm.preprocess.resampling import coarsen, crop_around, cropped
from neurofm.volumes.volume import Volume

Matrix = npt.NDArray[np.float64]

# Heads lie turned by up to this much about each axis before they are refused anyway.
_TURNS_DEGREES = (-40.0, -20.0, 0.0, 20.0, 40.0)
_SEARCH_MM, _POLISH_MM = 8.0, 4.0
# A turn of one radian moves the brain's surface by about this much: makes turns and shifts alike.
_RADIUS_MM = 60.0
_BINS = 32
# Background kept around the template's brain.
_MARGIN_MM = 24.0


def starting_pose(brain: Volume, template: Volume) -> Matrix:
    """The (4, 4) rigid matrix, scan mm -> template mm, near the best mutual information.

    ANTs descends from the centres of mass, and where a small head meets the larger template, the
    slope is so slight that it may stop many degrees away. Here 125 turns are tried at 8 mm, the two
    best improved by Powell's method, and the better of them once more at 4 mm. The same input gives
    the same matrix.

    Args:
        brain: stripped scan, zero outside the brain.
        template: stripped T1 template.
    """
    coarse = _Comparison(coarsen(brain, _SEARCH_MM), coarsen(template, _SEARCH_MM))
    turns = [
        np.array([*np.radians(turn) * _RADIUS_MM, 0, 0, 0])
        for turn in itertools.product(_TURNS_DEGREES, repeat=3)
    ]
    best_turns = sorted(turns, key=coarse)[:2]
    found = [_improved(coarse, start, 0.5, 200) for start in best_turns]
    best = min(found, key=coarse)
    finer = _Comparison(coarsen(brain, _POLISH_MM), coarsen(template, _POLISH_MM))
    return finer.matrix(_improved(finer, best, 0.1, 400))


class _Comparison:
    """Minus the mutual information of scan and template, as a function of six numbers.

    The numbers are a rotation vector about the template's centre, times `_RADIUS_MM`, and a shift
    in mm, both after the centres of mass have been laid on each other.
    """

    def __init__(self, brain: Volume, template: Volume) -> None:
        own = np.asarray(template.array)
        margins = [int(np.ceil(_MARGIN_MM / spacing)) for spacing in template.spacing_mm]
        box = crop_around(np.asarray(own > 0.1 * own.max()), (margins[0], margins[1], margins[2]))
        self._template = cropped(template, box)
        self._moving = np.ascontiguousarray(brain.array, dtype=np.float32)
        self._from_mm = np.linalg.inv(brain.affine)
        self._top = max(float(np.percentile(self._moving[self._moving > 0], 99.9)), 1e-12)
        fixed = np.asarray(self._template.array, dtype=np.float32)
        self._fixed_bins = _bins_of(fixed, float(fixed.max()))
        self._centre = _centre_of_mass(self._template)
        self._centred = np.eye(4)
        self._centred[:3, 3] = self._centre - _centre_of_mass(brain)

    def __call__(self, pose: npt.NDArray[np.float64]) -> float:
        to_voxel = self._from_mm @ np.linalg.inv(self.matrix(pose)) @ self._template.affine
        return -_mutual_information(
            joint_histogram(self._moving, to_voxel, self._fixed_bins, _BINS, self._top)
        )

    def matrix(self, pose: npt.NDArray[np.float64]) -> Matrix:
        """The (4, 4) matrix, scan mm -> template mm, of six numbers."""
        turned = np.eye(4)
        turned[:3, :3] = Rotation.from_rotvec(pose[:3] / _RADIUS_MM).as_matrix()
        turned[:3, 3] = self._centre - turned[:3, :3] @ self._centre + pose[3:]
        return np.asarray(turned @ self._centred)


def _improved(
    comparison: _Comparison, start: npt.NDArray[np.float64], tolerance: float, calls: int
) -> npt.NDArray[np.float64]:
    options = {"xtol": tolerance, "ftol": tolerance * 1e-4, "maxfev": calls}
    found = optimize.minimize(comparison, start, method="Powell", options=options)
    return np.asarray(found.x, dtype=np.float64)


def _bins_of(values: npt.NDArray[np.float32], top: float) -> npt.NDArray[np.int64]:
    """The lower of the two bins each value falls between."""
    scaled = np.clip(values * np.float32((_BINS - 1) / top), 0, np.float32(_BINS - 1.001))
    return np.ascontiguousarray(scaled, dtype=np.int64)


def _mutual_information(joint: npt.NDArray[np.float64]) -> float:
    joint = joint / joint.sum()
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _centre_of_mass(volume: Volume) -> npt.NDArray[np.float64]:
    """In mm."""
    weights = np.clip(volume.array.astype(np.float64), 0, None)
    centre = np.array(ndimage.center_of_mass(weights))
    return np.asarray(volume.affine[:3, :3] @ centre + volume.affine[:3, 3])
