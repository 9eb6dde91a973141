"""How far a preprocessed scan can be trusted: a few numbers and a verdict."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurofm.preprocess.likeness import dice, likeness_of
from neurofm.preprocess.noise import clarity_of
from neurofm.preprocess.template_space import TemplateSpace
from neurofm.preprocess.tissue import CSF, GREY, WHITE
from neurofm.volumes.grids import Grid
from neurofm.volumes.volume import Volume

Verdict = Literal["pass", "look", "fail"]

# A living adult's intracranial volume lies well inside (FAULTS 69).
BRAIN_BOUNDS_ML = (600.0, 2200.0)
# How far an empty brain lies from the template's: finite, because JSON knows no infinity.
_NOWHERE_MM = 1000.0
# How far apart the places of the template's brain are that are sought in the field of view.
_COVERAGE_EVERY_MM = 4.0


@dataclass(frozen=True)
class Quality:
    """What was measured on one preprocessed scan.

    Attributes:
        verdict: "pass"; "look" where a person should see the picture; "fail" where the result
            must not be used.
        reasons: why it is not "pass".
        brain_ml, csf_ml, gm_ml, wm_ml: volumes in the scan's own space.
        correlation, inner_correlation, shape_overlap, white_over_grey: how like the template it
            is once the head's size is taken out; see `Likeness`.
        overlap: Dice coefficient of the brain mask and the template's brain as they lie.
        coverage: share of the template's brain that the scan's field of view reaches.
        left_share: share of the brain left of the template's midline, about a half.
        rotation_degrees: how far the head was turned.
        centre_offset_mm: from the brain's centre to the template's, after registration.
        scale: how much registration enlarged the brain along an axis, on average; 1 if rigid.
        stretch: largest over smallest enlargement along an axis; 1 if rigid.
        contrast_to_noise, signal_to_noise: see `Clarity`.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    brain_ml: float
    csf_ml: float
    gm_ml: float
    wm_ml: float
    correlation: float
    inner_correlation: float
    shape_overlap: float
    overlap: float
    white_over_grey: float
    contrast_to_noise: float
    signal_to_noise: float
    coverage: float
    left_share: float
    rotation_degrees: float
    centre_offset_mm: float
    scale: float
    stretch: float


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


# Values of good scans and of spoiled ones: docs/quality-control.md.
LIMITS = (
    Limit("brain_ml", (900, 2000), BRAIN_BOUNDS_ML, "a brain of {:.0f} mL"),
    Limit("correlation", (0.66, 1), (0.52, 1), "correlation with the template {:.2f}"),
    Limit("inner_correlation", (0.45, 1), (0.2, 1), "correlation inside the brain {:.2f}"),
    Limit("shape_overlap", (0.89, 1), (0.8, 1), "a shape that overlaps the template's by {:.2f}"),
    # A rigid registration keeps a small head small.
    Limit("overlap", (0.65, 1), (0.5, 1), "overlap with the template's brain {:.2f}"),
    Limit("white_over_grey", (1.04, 3), (0.9, 5), "white matter {:.2f} times as bright as grey"),
    Limit("contrast_to_noise", (3, math.inf), (1, math.inf), "contrast over noise {:.1f}"),
    Limit("coverage", (0.9, 1), (0.7, 1), "{:.2f} of the brain in the field of view"),
    Limit("left_share", (0.44, 0.56), (0.35, 0.65), "{:.2f} of the brain on its left"),
    Limit("rotation_degrees", (0, 35), (0, 60), "a rotation of {:.0f} degrees"),
    Limit("centre_offset_mm", (0, 15), (0, 25), "a brain {:.0f} mm beside the template's"),
    Limit("scale", (0.75, 1.35), (0.6, 1.6), "a scaling of {:.2f}"),
    Limit("stretch", (1, 1.35), (1, 1.7), "a stretch of {:.2f} between axes"),
)


def judge(
    image: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.uint8],
    transform: npt.NDArray[np.float64],
    template: TemplateSpace,
    field_of_view: Grid | None = None,
) -> Quality:
    """Measure a result on the template's grid and give a verdict.

    Args:
        image: (x, y, z) bias-corrected intensities, zero where the scan was dark, in any unit.
        tissue: (x, y, z) tissue map; above 0 is the brain.
        transform: (4, 4), scan mm -> template mm.
        field_of_view: the scan's own grid; where none is given, all of the template counts as seen.
    """
    brain = tissue > 0
    linear = transform[:3, :3]
    enlarged = np.linalg.svd(linear, compute_uv=False)
    scale = float(abs(np.linalg.det(linear))) ** (1 / 3)
    voxel_ml = template.image.voxel_ml / scale**3
    counts = np.bincount(tissue.ravel(), minlength=4) * voxel_ml
    numbers = {
        "brain_ml": float(counts[1:].sum()),
        "csf_ml": float(counts[CSF]),
        "gm_ml": float(counts[GREY]),
        "wm_ml": float(counts[WHITE]),
        **asdict(likeness_of(image, brain, template)),
        **asdict(clarity_of(image, tissue, template.priors[2])),
        "overlap": dice(brain, np.asarray(template.brain.array, dtype=bool)),
        "coverage": _coverage(template.brain, transform, field_of_view),
        "left_share": _left_share(brain, template.brain.affine),
        "rotation_degrees": _rotation_degrees(linear),
        "centre_offset_mm": _centre_offset_mm(brain, template.brain),
        "scale": scale,
        "stretch": float(enlarged[0] / max(enlarged[-1], 1e-6)),
    }
    verdict, reasons = _verdict(numbers)
    return Quality(verdict, reasons, **{key: round(value, 4) for key, value in numbers.items()})


def _verdict(numbers: dict[str, float]) -> tuple[Verdict, tuple[str, ...]]:
    failed = [limit for limit in LIMITS if not _within(numbers[limit.name], limit.fail)]
    doubtful = [limit for limit in LIMITS if not _within(numbers[limit.name], limit.look)]
    reasons = tuple(limit.says.format(numbers[limit.name]) for limit in failed or doubtful)
    return "fail" if failed else "look" if doubtful else "pass", reasons


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1] + 1e-9


def _coverage(
    brain: Volume, transform: npt.NDArray[np.float64], field_of_view: Grid | None
) -> float:
    if field_of_view is None:
        return 1.0
    every = max(1, round(_COVERAGE_EVERY_MM / brain.spacing_mm[0]))
    places = np.argwhere(brain.array[::every, ::every, ::every]) * every
    to_scan = np.linalg.inv(transform @ field_of_view.affine) @ brain.affine
    voxels = places @ to_scan[:3, :3].T + to_scan[:3, 3]
    seen = (voxels > -0.5) & (voxels < np.array(field_of_view.shape) - 0.5)
    return float(seen.all(axis=1).mean())


def _left_share(brain: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]) -> float:
    """The share of the brain at x < 0, the template's left."""
    counts = brain.sum(axis=(1, 2))
    is_left = affine[0, 0] * np.arange(len(counts)) + affine[0, 3] < 0
    return float(counts[is_left].sum() / max(int(counts.sum()), 1))


def _rotation_degrees(linear: npt.NDArray[np.float64]) -> float:
    """The angle of the rotation nearest to a linear map; a mirrored map counts as half a turn."""
    left, _, right = np.linalg.svd(linear)
    rotation = left @ right
    if np.linalg.det(rotation) < 0:
        return 180.0
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def _centre_offset_mm(brain: npt.NDArray[np.bool_], template: Volume) -> float:
    if not brain.any():
        return _NOWHERE_MM
    centres = [_centre(mask) for mask in (brain, np.asarray(template.array, dtype=bool))]
    return float(np.linalg.norm(template.affine[:3, :3] @ (centres[0] - centres[1])))


def _centre(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The mean index of the true voxels, from their counts along each axis."""
    centre = []
    for axis in range(3):
        counts = mask.sum(axis=tuple({0, 1, 2} - {axis}))
        centre.append(float(counts @ np.arange(len(counts))) / float(counts.sum()))
    return np.array(centre)
