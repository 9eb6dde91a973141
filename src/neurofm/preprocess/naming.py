"""Where each scan's results stand: one folder for each cohort, names as in BIDS or TurboPrep."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

import pandas as pd

from neurofm.errors import TableError

SPACE = "MNI152NLin2009cSym"

Layout = Literal["bids", "turboprep"]

_ENTITY = re.compile(r"[a-z]+-[A-Za-z0-9]+")
# Four labels, the rest of the longest name, and a little room, in the 255 bytes of file systems.
_MAX_LABEL = 50


@dataclass(frozen=True)
class OutputNames:
    """The files of one scan, relative to the derivatives folder, with forward slashes.

    Attributes:
        label: "sub-01_ses-2".
    """

    label: str
    image: str
    brain_mask: str
    tissue: str
    transform: str
    sidecar: str
    picture: str


def output_names(frame: pd.DataFrame, layout: Layout = "bids") -> list[OutputNames]:
    """The output names of every row of an index, in its order.

    Args:
        frame: an index.
        layout: "bids", or "turboprep": a folder for each scan with TurboPrep's file names.

    Raises:
        TableError: two scans would be written to the same place, because their ids differ in
            characters only that BIDS does not allow in a label.
    """
    name_files = {"bids": _bids_names, "turboprep": _turboprep_names}[layout]
    names = [name_files(*_place_of(row)) for row in frame.to_dict("records")]
    _refuse_collisions(names, frame["scan_id"].tolist())
    return names


def bids_label(text: str) -> str:
    """The letters and digits of an id, without a leading "sub-" or "ses-".

    BIDS labels hold Latin letters and digits only. An id without any, or one too long for a file's
    name, is named by the first twelve digits of its SHA-256; the index has the id itself.
    """
    label = "".join(re.findall(r"[A-Za-z0-9]+", re.sub(r"^(sub|ses)-", "", text)))
    if 0 < len(label) <= _MAX_LABEL:
        return label
    return f"id{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def cohort_folder(cohort: str) -> str:
    """The folder of a cohort: its name with anything unusual replaced."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", cohort).lstrip(".-") or "cohort"


def _place_of(row: dict[Hashable, Any]) -> tuple[str, list[str], str]:
    """The cohort's folder, the folders of participant and session, and the scan's label."""
    cohort, participant, session = row["cohort"], row["participant_id"], row["session_id"]
    folders = [f"sub-{bids_label(str(participant))}"]
    if isinstance(session, str):
        folders.append(f"ses-{bids_label(str(session))}")
    given = [str(part) for part in (cohort, participant, session) if isinstance(part, str)]
    label = "_".join([*folders, *_details(str(row["scan_id"]), given)])
    return cohort_folder(str(cohort)), folders, label


def _bids_names(cohort: str, folders: list[str], label: str) -> OutputNames:
    stem = str(PurePosixPath(cohort, *folders, "anat", label))
    return OutputNames(
        label=label,
        image=f"{stem}_space-{SPACE}_desc-preproc_T1w.nii.gz",
        brain_mask=f"{stem}_space-{SPACE}_desc-brain_mask.nii.gz",
        tissue=f"{stem}_space-{SPACE}_dseg.nii.gz",
        transform=f"{stem}_from-T1w_to-{SPACE}_mode-image_xfm.txt",
        sidecar=f"{stem}_space-{SPACE}_desc-preproc_T1w.json",
        picture=f"{stem}_space-{SPACE}_desc-check.png",
    )


def _turboprep_names(cohort: str, _folders: list[str], label: str) -> OutputNames:
    folder = str(PurePosixPath(cohort, label))
    return OutputNames(
        label=label,
        image=f"{folder}/normalized.nii.gz",
        brain_mask=f"{folder}/mask.nii.gz",
        tissue=f"{folder}/segm.nii.gz",
        transform=f"{folder}/affine_transf.mat",
        sidecar=f"{folder}/normalized.json",
        picture=f"{folder}/check.png",
    )


def _details(scan_id: str, given: Sequence[str]) -> list[str]:
    """What the scan's id says beyond cohort, participant and session, as BIDS entities."""
    prefix = "_".join(given)
    detail = scan_id.removeprefix(prefix).strip("_") if scan_id.startswith(prefix) else scan_id
    if not detail:
        return []
    parts = detail.split("_")
    if all(_ENTITY.fullmatch(part) for part in parts):
        return parts
    return [f"acq-{bids_label(detail)}"]


def _refuse_collisions(names: Sequence[OutputNames], scan_ids: Sequence[str]) -> None:
    taken: dict[str, str] = {}
    for name, scan_id in zip(names, scan_ids, strict=True):
        # Some file systems do not tell a from A.
        other = taken.setdefault(name.image.lower(), scan_id)
        if other != scan_id:
            raise TableError(
                f"'{other}' and '{scan_id}' would be written to the same file, {name.image}",
                "give them ids that differ in letters or digits",
                "scan_id",
            )
