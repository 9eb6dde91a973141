"""BIDS folders: sub-*/[ses-*/]anat/*_T1w.nii[.gz], participants.tsv, sessions.tsv."""

from __future__ import annotations

from pathlib import Path

from neurofm.cohorts.found_scan import NIFTI_ENDINGS, FoundScan, stem_of
from neurofm.cohorts.labels import known_columns, person_labels, require_column, text_or_none
from neurofm.cohorts.text_table import Row, read_table
from neurofm.errors import TableError


def is_bids(folder: Path) -> bool:
    """Whether a folder looks like BIDS: it describes itself, or has sub-* folders with data."""
    described = (folder / "dataset_description.json").is_file()
    return described or any(folder.glob("sub-*/anat")) or any(folder.glob("sub-*/ses-*/anat"))


def read_bids(folder: Path) -> tuple[list[FoundScan], tuple[str, ...]]:
    """Every T1w image of a BIDS folder with the labels of its participant and session.

    Folders beside the sub-* ones (derivatives, sourcedata) are not searched. The cohort is the
    folder's name.

    Returns:
        the scans in the order of their names; notes about participants without a T1w image.

    Raises:
        TableError: participants.tsv cannot be used.
    """
    participants = _by_id(folder / "participants.tsv", "participant_id")
    scans, without = [], []
    for subject in sorted(path for path in folder.glob("sub-*") if path.is_dir()):
        images = _t1_images(subject)
        if not images:
            without.append(subject.name)
        visits = _by_id(subject / f"{subject.name}_sessions.tsv", "session_id")
        for image in images:
            session = next((p for p in image.parent.parts if p.startswith("ses-")), None)
            labels = {**participants.get(subject.name, {}), **visits.get(session or "", {})}
            scans.append(
                FoundScan(
                    folder.resolve().name,
                    subject.name.removeprefix("sub-"),
                    image,
                    session.removeprefix("ses-") if session else None,
                    _detail(image),
                    labels,
                )
            )
    notes = tuple(f"{name} has no T1w image" for name in without)
    return scans, notes + _unlisted(participants, scans, folder)


def _t1_images(subject: Path) -> list[Path]:
    folders = [subject / "anat", *sorted(subject.glob("ses-*/anat"))]
    return [
        image
        for folder in folders
        for image in sorted(folder.glob("*_T1w.nii*"))
        if image.name.endswith(tuple(f"_T1w{ending}" for ending in NIFTI_ENDINGS))
    ]


def _detail(image: Path) -> str:
    """The entities beside subject and session, such as "acq-mprage_run-2"."""
    entities = stem_of(image).split("_")[:-1]
    return "_".join(entity for entity in entities if entity.split("-")[0] not in {"sub", "ses"})


def _by_id(table: Path, column: str) -> dict[str, dict[str, object]]:
    """Labels of each participant (or session) of a table, by "sub-01" (or "ses-1")."""
    if not table.is_file():
        return {}
    prefix = "sub-" if column == "participant_id" else "ses-"
    rows = read_table(table)
    key = require_column(column, rows[0], table)
    found = known_columns(rows[0])
    labels: dict[str, dict[str, object]] = {}
    for row in rows:
        name = text_or_none(row[key])
        if name is None:
            raise TableError(f"has a row without {column}", "", table)
        name = name if name.startswith(prefix) else prefix + name
        if name in labels:
            raise TableError(f"lists {name} twice", "keep one row", table)
        labels[name] = _labels(row, found, table)
    return labels


def _labels(row: Row, found: dict[str, str], table: Path) -> dict[str, object]:
    labels = person_labels(row, found, table)
    labels.pop("cohort", None)
    return {name: value for name, value in labels.items() if value is not None}


def _unlisted(
    participants: dict[str, dict[str, object]], scans: list[FoundScan], folder: Path
) -> tuple[str, ...]:
    if not participants:
        return (f"{folder.name} has no participants.tsv: no labels",)
    missing = sorted({f"sub-{scan.participant_id}" for scan in scans} - set(participants))
    return tuple(f"{name} is not in participants.tsv" for name in missing)
