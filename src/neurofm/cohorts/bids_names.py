"""BIDS file names: sub-01_ses-2_run-1_T1w.nii.gz and what its parts say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurofm.volumes.formats import is_nifti_name


@dataclass(frozen=True)
class BidsName:
    """The parts of a BIDS file name.

    Attributes:
        participant: "sub-01".
        session: "ses-2" or None.
        parts: the other entities in order, e.g. ("acq-mprage", "run-1").
        suffix: what is imaged, e.g. "T1w".
    """

    participant: str
    session: str | None
    parts: tuple[str, ...]
    suffix: str


def parse_bids_name(path: Path) -> BidsName | None:
    """The parts of a NIfTI file's BIDS name, or None where it has another kind of name."""
    pieces = nifti_stem(path).split("_")
    entities, suffix = pieces[:-1], pieces[-1]
    if not is_nifti_name(path) or not entities or not entities[0].startswith("sub-"):
        return None
    session = next((entity for entity in entities if entity.startswith("ses-")), None)
    parts = tuple(entity for entity in entities[1:] if entity != session)
    return BidsName(entities[0], session, parts, suffix)


def nifti_stem(path: Path) -> str:
    """A file's name without .nii or .nii.gz."""
    name = path.name
    for ending in (".gz", ".nii"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def nifti_files(folder: Path) -> list[Path]:
    """The NIfTI files below a folder in order of their names, hidden folders left out.

    Where a file stands both as `.nii` and `.nii.gz`, only the latter is listed.
    """
    found = [path for path in folder.rglob("*") if is_nifti_name(path)]
    shown = [path for path in found if not _is_hidden(path.relative_to(folder))]
    both = {path.with_name(nifti_stem(path)) for path in shown if path.suffix.lower() == ".gz"}
    single = [
        path
        for path in shown
        if path.suffix.lower() == ".gz" or path.with_name(nifti_stem(path)) not in both
    ]
    return sorted(single)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
