"""The doctor's findings on the scan itself: file, header, intensities, brain or whole head."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.affines import obliquity

from neurofm.inference.diagnosis import Finding, Section
from neurofm.volumes.header_facts import HeaderFacts
from neurofm.volumes.volume import Volume

_SAMPLE_VOXELS = 500_000
_FEW_LEVELS = 64
_THICK_MM = 2.0
_VERY_OBLIQUE_DEGREES = 30.0
# Left to right, back to front, bottom to top: a brain that is to fit whole needs about as much.
_ROOM_FOR_A_BRAIN_MM = (120.0, 150.0, 110.0)
# Notes of reading and preparing that call for nothing.
_HARMLESS = (
    "is kept out of all outputs",
    "are kept out of all outputs",
    "voxels are taken as stored",
    "with one volume: read as 3D",
    "against its name: read by its content",
    "contradicts voxel type",
    "converted to mm",
    "came stripped",
    "cut to it",
)


def file_section(path: Path, facts: HeaderFacts, is_whole: bool) -> Section:
    """Size and form of the file, and whether it could be read to its end."""
    form = facts.form + (", big-endian" if facts.big_endian else "")
    return Section(
        "File",
        (
            Finding("name", path.name),
            Finding("size", f"{facts.file_bytes / 1e6:.2f} MB"),
            Finding("form", form + (", compressed (gzip)" if facts.compressed else "")),
            Finding("read", "to the last byte, no damage found" if is_whole else "see the verdict"),
        ),
    )


def header_section(facts: HeaderFacts) -> Section:
    """What the header says, with a remark where it says it badly."""
    dimensions = " x ".join(str(count) for count in facts.dimensions)
    extent = [n * step for n, step in zip(facts.dimensions, facts.spacing_mm, strict=False)]
    hidden = [*facts.text_fields] + ["an extension"] * (facts.extension_bytes >= 16)
    findings = [
        Finding("dimensions", dimensions or "none", _dimension_remark(facts)),
        Finding("voxels", f"{_times(facts.spacing_mm)} mm", _thickness_remark(facts), True),
        Finding("field of view", f"{_times(np.round(extent, 1))} mm"),
        *_orientation(facts),
        Finding("length unit", facts.unit),
        Finding("voxel type", facts.voxel_type, _scaling_remark(facts)),
        Finding(
            "free text",
            f"yes, in {', '.join(hidden)}" if hidden else "none",
            "not shown here, and in no output" if hidden else "",
        ),
    ]
    return Section("Header", tuple(_without_empty_alarm(finding) for finding in findings))


def intensity_section(volume: Volume) -> Section:
    """How bright the voxels are: percentiles of all of them, and shares of odd ones."""
    array = volume.array
    flat = np.asarray(array).ravel(order="K")
    sample = flat[:: max(1, flat.size // _SAMPLE_VOXELS)]
    points = (0, 1, 25, 50, 75, 99)
    values = [*np.percentile(sample, points), float(flat.max())]
    values[0] = float(flat.min())
    names = ("lowest", *(f"{point} %" for point in points[1:]), "highest")
    spread = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values, strict=True))
    levels = len(np.unique(sample))
    few = levels <= _FEW_LEVELS
    findings = (
        Finding("range", spread),
        Finding("zeros", f"{np.mean(flat == 0):.1%} of the voxels"),
        Finding("negative", f"{np.mean(flat < 0):.1%} of the voxels"),
        Finding(
            "different values",
            str(levels) if few else f"more than {_FEW_LEVELS}",
            f"only {levels} different values: a label map, or saved too coarsely" if few else "",
            few,
        ),
    )
    return Section("Intensities", findings)


def brain_section(volume: Volume, stripped: npt.NDArray[np.bool_] | None) -> Section:
    """A brain already stripped, or a whole head; and whether there is room for a brain."""
    if stripped is None:
        value, remark = "a whole head", ""
    else:
        brain_ml = float(np.count_nonzero(stripped)) * volume.voxel_ml
        value = f"a brain of {brain_ml:.0f} mL, stripped already"
        remark = "mistakes of the tool that stripped it stay"
    extent = np.array(volume.shape) * volume.spacing_mm
    tight = bool(np.any(extent < _ROOM_FOR_A_BRAIN_MM))
    room = Finding(
        "room",
        f"{_times(np.round(extent))} mm from left to right, back to front, bottom to top",
        "hardly room for a whole brain: part of it may be cut off" if tight else "",
        tight,
    )
    return Section("Brain", (Finding("shows", value, remark), room))


def notes_section(notes: tuple[str, ...]) -> tuple[Section, ...]:
    """What reading the file brought up; nothing where nothing did."""
    findings = note_findings(notes)
    return (Section("Notes", findings),) if findings else ()


def note_findings(notes: tuple[str, ...]) -> tuple[Finding, ...]:
    """A line for each note; those that call for something matter."""
    return tuple(
        Finding("note", "", note, matters=True) if _matters(note) else Finding("note", note)
        for note in notes
    )


def _matters(note: str) -> bool:
    return not any(words in note for words in _HARMLESS)


def _orientation(facts: HeaderFacts) -> tuple[Finding, ...]:
    affine = facts.qform if facts.sform is None else facts.sform
    if affine is None:
        return (
            Finding("orientation", "unknown", "the header does not say how the head lies", True),
            Finding("placed by", _placed_by(facts)),
        )
    code = "".join(letter or "?" for letter in nib.aff2axcodes(affine))
    degrees = float(np.degrees(np.max(np.abs(obliquity(affine)))))
    oblique = degrees > _VERY_OBLIQUE_DEGREES
    return (
        Finding("orientation", f"{code} (where each axis of the file leads)"),
        Finding(
            "oblique",
            f"{degrees:.1f} degrees",
            "lies very oblique: look at the registration" if oblique else "",
            oblique,
        ),
        Finding("placed by", _placed_by(facts)),
    )


def _placed_by(facts: HeaderFacts) -> str:
    if facts.sform is not None and facts.qform is not None:
        close = np.allclose(facts.sform, facts.qform, rtol=1e-3, atol=0.1)
        return "sform and qform, which " + ("agree" if close else "differ")
    names = (("sform", facts.sform_code, facts.sform), ("qform", facts.qform_code, facts.qform))
    words = [
        f"{name} alone" if matrix is not None else f"{name} unusable"
        for name, code, matrix in names
        if code > 0
    ]
    return ", ".join(words) or "nothing: both codes are 0"


def _dimension_remark(facts: HeaderFacts) -> str:
    series = len(facts.dimensions) > 3 and facts.dimensions[3] > 1
    return f"a series of {facts.dimensions[3]} volumes" if series else ""


def _thickness_remark(facts: HeaderFacts) -> str:
    thickest = max(facts.spacing_mm)
    if not thickest > _THICK_MM + 0.05:
        return ""
    return f"voxels of up to {thickest:.3g} mm: detail between them was never measured"


def _scaling_remark(facts: HeaderFacts) -> str:
    if facts.slope in {0, 1} or not np.isfinite(facts.slope):
        return "" if facts.slope != 1 or not facts.intercept else f"plus {facts.intercept:.4g}"
    return f"times {facts.slope:.4g}" + (f" plus {facts.intercept:.4g}" if facts.intercept else "")


def _without_empty_alarm(finding: Finding) -> Finding:
    return finding if finding.remark else Finding(finding.label, finding.value)


def _times(values: npt.ArrayLike) -> str:
    return " x ".join(f"{value:.4g}" for value in np.asarray(values, dtype=np.float64))
