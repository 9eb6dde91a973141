"""Where a NIfTI header places its voxels: one affine to mm, or a refusal; never a guess."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from nibabel.orientations import io_orientation
from nibabel.quaternions import quat2mat

from neurofm.errors import ScanError

Affine = npt.NDArray[np.float64]

_MILLIMETRES = 2
MM_PER_UNIT = {1: 1000.0, _MILLIMETRES: 1.0, 3: 0.001}
_UNIT_NOTES = {1: "the metre: converted to mm", 3: "the micrometre: converted to mm"}
# A head fits into these; wider limits are for noting, not refusing.
_FIELD_OF_VIEW_MM = (100.0, 400.0)
_SPACING_LIMITS_MM = (0.1, 10.0)
_SPACING_USUAL_MM = (0.3, 4.0)
# No length in a header is this long, or as short as its inverse, in any unit.
_BEYOND = 1e9


def affine_of(
    fields: np.void,
    shape: tuple[int, int, int],
    assume_orientation: Literal["LAS", "RAS"] | None,
    notes: list[str],
    where: object,
) -> Affine:
    """The affine (stored voxel index -> mm, RAS+): sform first, then qform, as NIfTI says.

    Args:
        fields: the header as a NumPy record, NIfTI-1 or NIfTI-2.
        shape: voxels (x, y, z).
        assume_orientation: used only where both codes are 0; None refuses such a file.
        notes: receives what is odd but bearable.
        where: the file, for messages.

    Raises:
        ScanError: no orientation, a singular or contradictory one, impossible spacing or size.
    """
    place = str(where)
    spacing = np.asarray(fields["pixdim"][1:4], dtype=np.float64)
    if not np.all((spacing > 1 / _BEYOND) & (spacing < _BEYOND)):
        raise ScanError(f"its voxel size is {_numbers(spacing)}", "", place, kind="header")
    affine = _chosen_affine(fields, shape, assume_orientation, notes, place)
    unit = int(fields["xyzt_units"]) & 7
    factor = MM_PER_UNIT.get(unit, 1.0)
    if unit != _MILLIMETRES:
        notes.append(f"its header's length unit is {_UNIT_NOTES.get(unit, 'unknown: taken as mm')}")
    affine[:3] *= factor
    _judge_lengths(affine, spacing * factor, shape, notes, place)
    return affine


def _chosen_affine(
    fields: np.void,
    shape: tuple[int, int, int],
    assume_orientation: Literal["LAS", "RAS"] | None,
    notes: list[str],
    place: str,
) -> Affine:
    has_sform, has_qform = int(fields["sform_code"]) > 0, int(fields["qform_code"]) > 0
    if not has_sform and not has_qform:
        return _assumed_affine(fields, shape, assume_orientation, notes, place)
    qform = qform_of(fields) if has_qform else None
    sform = sform_of(fields, place) if has_sform else None
    if sform is None:
        if qform is None:
            raise ScanError("its orientation matrix is singular", "", place, kind="orientation")
        if has_sform:
            notes.append("its sform is singular: the qform is used")
        return qform
    if qform is not None:
        _compare(sform, qform, notes, place)
    elif has_qform:
        notes.append("its qform is not a rotation: the sform is used")
    return sform


def _assumed_affine(
    fields: np.void,
    shape: tuple[int, int, int],
    assume_orientation: Literal["LAS", "RAS"] | None,
    notes: list[str],
    place: str,
) -> Affine:
    if assume_orientation is None:
        raise ScanError(
            "its header does not say which way the head lies (sform and qform codes are 0)",
            "convert it again from the original images; or, where you know, say "
            "--assume-orientation LAS or RAS, and preprocess.assume_orientation in the recipe",
            place, kind="orientation",
        )  # fmt: skip
    notes.append(f"its header gives no orientation: {assume_orientation} was assumed as asked")
    spacing = np.asarray(fields["pixdim"][1:4], dtype=np.float64)
    scale = spacing * ([-1, 1, 1] if assume_orientation == "LAS" else [1, 1, 1])
    affine = np.diag([*scale, 1.0])
    affine[:3, 3] = -scale * (np.asarray(shape) - 1) / 2
    return affine


def sform_of(fields: np.void, place: str) -> Affine | None:
    """The sform, whatever its code; None where it is singular.

    Raises:
        ScanError: it is not finite, or leads out of all bounds.
    """
    affine = np.eye(4)
    affine[:3] = [fields["srow_x"], fields["srow_y"], fields["srow_z"]]
    if not np.all(np.isfinite(affine)):
        raise ScanError("its sform is not finite", "", place, kind="orientation")
    if np.abs(affine).max() > _BEYOND:
        raise ScanError("its sform leads out of all bounds", "", place, kind="orientation")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if np.any(lengths == 0) or abs(np.linalg.det(affine[:3, :3] / lengths)) < 0.05:
        return None
    return affine


def qform_of(fields: np.void) -> Affine | None:
    """The qform, whatever its code; None where it is no rotation."""
    b, c, d = (float(fields[f"quatern_{name}"]) for name in "bcd")
    offset = [float(fields[f"qoffset_{name}"]) for name in "xyz"]
    if not np.all(np.abs([b, c, d, *offset]) <= _BEYOND):
        return None
    square = b * b + c * c + d * d
    if square > 1.001:
        return None
    quaternion = np.array([np.sqrt(max(0.0, 1 - square)), b, c, d])
    rotation = quat2mat(quaternion / np.linalg.norm(quaternion))
    flip = -1.0 if float(fields["pixdim"][0]) < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.asarray(fields["pixdim"][1:4], dtype=np.float64)
    affine[:3, 2] *= flip
    affine[:3, 3] = offset
    return affine


def _compare(sform: Affine, qform: Affine, notes: list[str], place: str) -> None:
    between = sform @ np.linalg.inv(qform)
    expected = np.array([[0, 1], [1, 1], [2, 1]])
    if not np.array_equal(io_orientation(between), expected):
        raise ScanError(
            "its sform and qform disagree about where left and right are",
            "convert it again from the original images", place, kind="orientation",
        )  # fmt: skip
    if not np.allclose(sform, qform, rtol=1e-3, atol=0.1):
        notes.append("its sform and qform differ: the sform is used")


def _judge_lengths(
    affine: Affine,
    stated_mm: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    notes: list[str],
    place: str,
) -> None:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    extent = spacing * shape
    low, high = _SPACING_LIMITS_MM
    if np.any(spacing < low) or np.any(spacing > high):
        raise ScanError(
            f"its voxels measure {_numbers(spacing)} mm, outside {low:g} to {high:g}",
            "check the units of its header", place, kind="spacing",
        )  # fmt: skip
    low, high = _FIELD_OF_VIEW_MM
    if np.any(extent < low) or np.any(extent > high):
        raise ScanError(
            f"it covers {_numbers(extent)} mm, which cannot be a head ({low:g} to {high:g})",
            "check the units and the crop", place, kind="field-of-view",
        )  # fmt: skip
    low, high = _SPACING_USUAL_MM
    if np.any(spacing < low) or np.any(spacing > high):
        notes.append(f"unusual voxel size: {_numbers(spacing)} mm")
    if not np.allclose(spacing, stated_mm, rtol=0.01):
        notes.append(f"its affine scales voxels to {_numbers(spacing)} mm, its header says "
                     f"{_numbers(stated_mm)}: the affine is used")  # fmt: skip
    directions = affine[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > 0.01:
        notes.append("its affine is sheared")


def _numbers(values: npt.NDArray[np.float64]) -> str:
    return " x ".join(f"{value:.4g}" for value in values)
