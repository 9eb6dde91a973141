"""Linear registration of a stripped scan to the template: robust least squares, coarse to fine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.linalg import expm

from neurofm.errors import ScanError
from neurofm.preprocess.resampling import coarsen
from neurofm.volumes.volume import Volume

Floats = npt.NDArray[np.float64]
Kind = Literal["rigid", "affine"]

# The coarsest level tries these turns about each axis; heads lie in scanners tilted up to this.
_START_DEGREES = (-25.0, 0.0, 25.0)
_START_SPACING_MM = 8.0
_START_ROUNDS = 8
_MAX_ROUNDS = 30
# A level ends when no corner of the head moves by more than this share of its spacing.
_TOLERANCE = 0.01
# Residuals beyond this many robust standard deviations count less and less (Tukey's biweight).
_TUKEY = 4.685
_MAP_DEGREE = 3
_HEAD_MM = 90.0


def register(brain: Volume, template: Volume, kind: Kind) -> Floats:
    """The (4, 4) matrix, scan mm -> template mm, that lays a stripped scan on the template.

    The template's intensities are predicted from the scan's by a cubic, refitted in each round;
    the squared differences, with outliers such as dura weighted down (as Reuter et al. 2010,
    NeuroImage 53:1181), are minimised by Gauss-Newton steps on the template's side (the inverse
    compositional algorithm of Baker and Matthews 2004, IJCV 56:221). The coarsest level starts
    from the centres of mass and 27 turns of the head. Nothing is drawn at random.

    Args:
        brain: stripped, bias-corrected, zero outside the brain.
        template: stripped T1 template at the spacing of the finest level.
        kind: "rigid", or "affine" (12 parameters).

    Raises:
        ScanError: no plain finite transform comes out.
    """
    finest = float(np.mean(template.spacing_mm))
    spacings = [mm for mm in (_START_SPACING_MM, 4.0) if mm > 1.3 * finest] + [finest]
    start = _Level(brain, template, spacings[0], "rigid")
    found = min(
        (start.descend(turn, _START_ROUNDS) for turn in _starts(brain, template)),
        key=start.cost,
    )
    for spacing_mm in spacings:
        level = _Level(brain, template, spacing_mm, kind)
        found = level.descend(found, _MAX_ROUNDS)
    determinant = float(np.linalg.det(found))
    if not np.isfinite(determinant) or not 0.05 < determinant < 20:
        raise ScanError(
            "registration to the template gave no transform",
            "look at the scan",
            kind="registration",
        )
    return np.asarray(np.linalg.inv(found))


@dataclass(frozen=True, eq=False)
class _Sampled:
    """The template's brain as a list of places, with what a small motion changes."""

    places: Floats
    values: Floats
    jacobian: Floats


class _Level:
    """Scan and template at one resolution; transforms here map template mm -> scan mm."""

    def __init__(self, brain: Volume, template: Volume, spacing_mm: float, kind: Kind) -> None:
        self._spacing_mm = spacing_mm
        scan = coarsen(brain, spacing_mm)
        self._scan = np.asarray(scan.array, dtype=np.float32)
        self._to_voxel = np.linalg.inv(scan.affine)
        self._unit = max(float(np.percentile(self._scan[self._scan > 0], 95)), 1e-12)
        self._template = _sampled(coarsen(template, spacing_mm), kind)
        self._kind = kind

    def descend(self, transform: Floats, rounds: int) -> Floats:
        """Improve a transform by at most so many Gauss-Newton steps."""
        jacobian = self._template.jacobian
        for _ in range(rounds):
            residual = self._residual(transform)
            weight = _tukey(residual)
            weighted = jacobian * weight[:, None]
            normal = weighted.T @ jacobian
            normal[np.diag_indices_from(normal)] *= 1 + 1e-6
            step = np.linalg.solve(normal, weighted.T @ residual)
            motion = _motion(np.asarray(step, dtype=np.float64), self._kind)
            transform = transform @ motion
            if _largest_move_mm(motion) < _TOLERANCE * self._spacing_mm:
                break
        return transform

    def cost(self, transform: Floats) -> float:
        """One minus the share of the template's variance that the scan explains."""
        residual = self._residual(transform)
        return float(residual.var() / self._template.values.var())

    def _residual(self, transform: Floats) -> Floats:
        """Scan, mapped to the template's intensities, minus template, at the template's places."""
        matrix = self._to_voxel @ transform
        voxels = matrix[:3, :3] @ self._template.places + matrix[:3, 3:]
        scan = ndimage.map_coordinates(self._scan, voxels, order=1, mode="constant", cval=0.0)
        scan = np.minimum(scan / self._unit, 1.5)
        powers = np.stack([scan**power for power in range(_MAP_DEGREE + 1)])
        normal = powers @ powers.T
        normal[np.diag_indices_from(normal)] += 1e-9 * scan.size
        fit = np.linalg.solve(normal, powers @ self._template.values)
        return np.asarray(fit @ powers - self._template.values)


def _sampled(template: Volume, kind: Kind) -> _Sampled:
    array = template.array.astype(np.float64)
    spacing = np.array(template.spacing_mm)
    inside = array > 0.1 * array.max()
    voxels = np.argwhere(inside).T
    places = template.affine[:3, :3] @ voxels + template.affine[:3, 3:]
    slopes = np.gradient(array)
    gradient = np.stack([slope[inside] / step for slope, step in zip(slopes, spacing, strict=True)])
    if kind == "rigid":
        # d/d(turn, shift) of the template at a place that moves by turn x place + shift.
        columns = np.concatenate([np.cross(places.T, gradient.T).T / _HEAD_MM, gradient])
    else:
        outer = (gradient[:, None] * places[None] / _HEAD_MM).reshape(9, -1)
        columns = np.concatenate([outer, gradient])
    return _Sampled(places, array[inside], np.ascontiguousarray(columns.T))


def _motion(step: Floats, kind: Kind) -> Floats:
    """The small motion of the template that a step's parameters stand for."""
    generator = np.zeros((4, 4))
    generator[:3, 3] = step[-3:]
    if kind == "rigid":
        x, y, z = step[:3] / _HEAD_MM
        generator[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    else:
        generator[:3, :3] = step[:9].reshape(3, 3) / _HEAD_MM
    # The scan looks like the template moved by this; so the places move by its inverse.
    return np.asarray(expm(-generator))


def _tukey(residual: Floats) -> Floats:
    scale = 1.4826 * float(np.median(np.abs(residual))) + 1e-12
    share = np.minimum(np.abs(residual) / (_TUKEY * scale), 1)
    return np.asarray((1 - share**2) ** 2)


def _largest_move_mm(motion: Floats) -> float:
    corners = np.array([[x, y, z, 1] for x, y, z in itertools.product((-1, 1), repeat=3)]).T
    corners[:3] *= int(_HEAD_MM)
    return float(np.abs(motion @ corners - corners).max())


def _starts(brain: Volume, template: Volume) -> list[Floats]:
    """Template mm -> scan mm: centre on centre, with every turn of the list about each axis."""
    centre_scan, centre_template = _centre_mm(brain), _centre_mm(template)
    starts = []
    for angles in itertools.product(np.radians(_START_DEGREES), repeat=3):
        start = np.eye(4)
        start[:3, :3] = expm(np.cross(np.eye(3), np.array(angles)))
        start[:3, 3] = centre_scan - start[:3, :3] @ centre_template
        starts.append(start)
    return starts


def _centre_mm(volume: Volume) -> Floats:
    array = volume.array.astype(np.float64)
    if not array.any():
        raise ScanError("its brain is empty", "look at the scan", kind="constant")
    centre = ndimage.center_of_mass(array)
    return np.asarray(volume.affine[:3, :3] @ np.array(centre) + volume.affine[:3, 3])
