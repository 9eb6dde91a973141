"""How far a preprocessed scan can be trusted: a few numbers and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurofm.preprocess.template_space import TemplateSpace
from neurofm.preprocess.tissue import CSF, GREY, WHITE
from neurofm.volumes.volume import Volume

Verdict = Literal["pass", "look", "fail"]

# Gyri differ from person to person; the correlation is taken between blocks of this size.
_BLOCK_MM = 6.0

# A living adult's intracranial volume lies well inside (FAULTS 69).
BRAIN_BOUNDS_ML = (600.0, 2200.0)


@dataclass(frozen=True)
class Quality:
    """What was measured on one preprocessed scan.

    Attributes:
        verdict: "pass"; "look" where a person should see the picture; "fail" where the result
            must not be used.
        reasons: why it is not "pass".
        brain_ml, csf_ml, gm_ml, wm_ml: volumes in the scan's own space.
        correlation: of the scan with the template, inside both brains.
        overlap: Dice coefficient of the brain mask and the template's brain.
        rotation_degrees: how far the head was turned.
        centre_offset_mm: from the brain's centre to the template's, after registration.
        scale: how much registration enlarged the brain along an axis, on average; 1 if rigid.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    brain_ml: float
    csf_ml: float
    gm_ml: float
    wm_ml: float
    correlation: float
    overlap: float
    rotation_degrees: float
    centre_offset_mm: float
    scale: float


@dataclass(frozen=True)
class _Limit:
    """A bound between good, doubtful and unusable values of one number."""

    name: str
    look: tuple[float, float]
    fail: tuple[float, float]
    says: str


_LIMITS = (
    _Limit("brain_ml", (900, 2000), BRAIN_BOUNDS_ML, "a brain of {:.0f} mL"),
    _Limit("correlation", (0.6, 1), (0.4, 1), "correlation with the template {:.2f}"),
    _Limit("overlap", (0.85, 1), (0.75, 1), "overlap with the template's brain {:.2f}"),
    _Limit("rotation_degrees", (0, 35), (0, 60), "a rotation of {:.0f} degrees"),
    _Limit("centre_offset_mm", (0, 12), (0, 25), "a brain {:.0f} mm beside the template's"),
    _Limit("scale", (0.75, 1.35), (0.6, 1.6), "a scaling of {:.2f}"),
)


def judge(
    image: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.uint8],
    transform: npt.NDArray[np.float64],
    template: TemplateSpace,
) -> Quality:
    """Measure a result on the template's grid and give a verdict.

    Args:
        image: (x, y, z) bias-corrected intensities, in any unit.
        tissue: (x, y, z) tissue map; above 0 is the brain.
        transform: (4, 4), scan mm -> template mm.
    """
    brain = tissue > 0
    linear = transform[:3, :3]
    scale = float(abs(np.linalg.det(linear))) ** (1 / 3)
    voxel_ml = template.image.voxel_ml / scale**3
    counts = np.bincount(tissue.ravel(), minlength=4) * voxel_ml
    numbers = {
        "brain_ml": float(counts[1:].sum()),
        "csf_ml": float(counts[CSF]),
        "gm_ml": float(counts[GREY]),
        "wm_ml": float(counts[WHITE]),
        "correlation": _correlation(image, template, brain),
        "overlap": dice(brain, np.asarray(template.brain.array, dtype=bool)),
        "rotation_degrees": _rotation_degrees(linear),
        "centre_offset_mm": _centre_offset_mm(brain, template.brain),
        "scale": scale,
    }
    verdict, reasons = _verdict(numbers)
    return Quality(verdict, reasons, **{key: round(value, 4) for key, value in numbers.items()})


def dice(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """Twice the common voxels over the sum of both; 1 for two equal masks, 0 for two empty."""
    both = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / both if both else 0.0


def _verdict(numbers: dict[str, float]) -> tuple[Verdict, tuple[str, ...]]:
    failed = [limit for limit in _LIMITS if not _within(numbers[limit.name], limit.fail)]
    doubtful = [limit for limit in _LIMITS if not _within(numbers[limit.name], limit.look)]
    reasons = tuple(limit.says.format(numbers[limit.name]) for limit in failed or doubtful)
    return "fail" if failed else "look" if doubtful else "pass", reasons


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1] + 1e-9


def _correlation(
    image: npt.NDArray[np.float32], template: TemplateSpace, brain: npt.NDArray[np.bool_]
) -> float:
    """Correlation at the scale of lobes and ventricles; gyri differ from person to person."""
    inside = brain & np.asarray(template.brain.array, dtype=bool)
    if inside.sum() < 100:
        return 0.0
    cut = np.minimum(image, np.percentile(image[inside], 99.5))
    template_image = template.image.array.astype(np.float32)
    spacing_mm = template.image.spacing_mm[0]
    first = _blurred_inside(cut, inside, spacing_mm)
    second = _blurred_inside(template_image, inside, spacing_mm)
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm > 0 else 0.0


def _blurred_inside(
    image: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], spacing_mm: float
) -> npt.NDArray[np.float64]:
    """Mean over blocks of about `_BLOCK_MM`, of the voxels inside; blocks half full count."""
    side = max(1, round(_BLOCK_MM / spacing_mm))
    shape = [length // side for length in image.shape]
    box = tuple(slice(0, blocks * side) for blocks in shape)
    split = (shape[0], side, shape[1], side, shape[2], side)
    counts = inside[box].reshape(split).sum(axis=(1, 3, 5))
    sums = np.where(inside, image, 0)[box].reshape(split).sum(axis=(1, 3, 5), dtype=np.float64)
    kept = counts >= side**3 / 2
    return np.asarray(sums[kept] / counts[kept])


def _rotation_degrees(linear: npt.NDArray[np.float64]) -> float:
    """The angle of the rotation nearest to a linear map; a mirrored map counts as half a turn."""
    left, _, right = np.linalg.svd(linear)
    rotation = left @ right
    if np.linalg.det(rotation) < 0:
        return 180.0
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def _centre_offset_mm(brain: npt.NDArray[np.bool_], template: Volume) -> float:
    if not brain.any():
        return float("inf")
    centres = [np.argwhere(mask).mean(axis=0) for mask in (brain, template.array)]
    return float(np.linalg.norm(template.affine[:3, :3] @ (centres[0] - centres[1])))
