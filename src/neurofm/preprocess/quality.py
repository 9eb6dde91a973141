"""How far a preprocessed scan can be trusted: a few numbers and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.preprocess.template_space import TemplateSpace
from neurofm.preprocess.tissue import CSF, GREY, WHITE
from neurofm.volumes.volume import Volume

Verdict = Literal["pass", "look", "fail"]

# A living adult's intracranial volume lies well inside (FAULTS 69).
BRAIN_BOUNDS_ML = (600.0, 2200.0)
# Smoothing, as a Gaussian's standard deviation, before scan and template are compared, and the
# distance of the voxels that are taken for it.
_COMPARED_AT_MM = 5.0
_COMPARED_EVERY_MM = 3.0


@dataclass(frozen=True)
class Quality:
    """What was measured on one preprocessed scan.

    Attributes:
        verdict: "pass"; "look" where a person should see the picture; "fail" where the result
            must not be used.
        reasons: why it is not "pass".
        brain_ml, csf_ml, gm_ml, wm_ml: volumes in the scan's own space.
        correlation: of scan and template, smoothed by 5 mm, over both brains.
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
class Limit:
    """The bounds between good, doubtful and unusable values of one number.

    Attributes:
        name: the number's name in `Quality`.
        look: lowest and highest value that is good.
        fail: lowest and highest value that is usable.
        says: the reason given for a value outside.
    """

    name: str
    look: tuple[float, float]
    fail: tuple[float, float]
    says: str


LIMITS = (
    Limit("brain_ml", (900, 2000), BRAIN_BOUNDS_ML, "a brain of {:.0f} mL"),
    # Right registrations give 0.78 and more, of small heads 0.68 and more; the same scans turned by
    # 15 degrees at most 0.69, mirrored at most 0.55.
    Limit("correlation", (0.74, 1), (0.6, 1), "correlation with the template {:.2f}"),
    # A rigid registration keeps a small head small.
    Limit("overlap", (0.75, 1), (0.65, 1), "overlap with the template's brain {:.2f}"),
    Limit("rotation_degrees", (0, 35), (0, 60), "a rotation of {:.0f} degrees"),
    Limit("centre_offset_mm", (0, 12), (0, 25), "a brain {:.0f} mm beside the template's"),
    Limit("scale", (0.75, 1.35), (0.6, 1.6), "a scaling of {:.2f}"),
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
        "correlation": _correlation(image, brain, template),
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
    failed = [limit for limit in LIMITS if not _within(numbers[limit.name], limit.fail)]
    doubtful = [limit for limit in LIMITS if not _within(numbers[limit.name], limit.look)]
    reasons = tuple(limit.says.format(numbers[limit.name]) for limit in failed or doubtful)
    return "fail" if failed else "look" if doubtful else "pass", reasons


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1] + 1e-9


def _correlation(
    image: npt.NDArray[np.float32],
    brain: npt.NDArray[np.bool_],
    template: TemplateSpace,
) -> float:
    """Correlation of the smoothed brains over both; smoothing leaves what all brains share."""
    spacing_mm = template.image.spacing_mm[0]
    step = max(1, round(_COMPARED_EVERY_MM / spacing_mm))
    every = (slice(None, None, step),) * 3
    image, brain = image[every], brain[every]
    model = template.image.array[every].astype(np.float32)
    inside = brain | np.asarray(template.brain.array[every], dtype=bool)
    sigma = _COMPARED_AT_MM / (step * spacing_mm)
    top = np.percentile(image[brain], 99.5) if brain.any() else 0.0
    first = ndimage.gaussian_filter(np.clip(image, 0, top) * brain, sigma)[inside]
    second = ndimage.gaussian_filter(model, sigma)[inside]
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


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
    centres = [_centre(mask) for mask in (brain, np.asarray(template.array, dtype=bool))]
    return float(np.linalg.norm(template.affine[:3, :3] @ (centres[0] - centres[1])))


def _centre(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The mean index of the true voxels, from their counts along each axis."""
    centre = []
    for axis in range(3):
        counts = mask.sum(axis=tuple({0, 1, 2} - {axis}))
        centre.append(float(counts @ np.arange(len(counts))) / float(counts.sum()))
    return np.array(centre)
