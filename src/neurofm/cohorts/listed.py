"""Plain tables of scans (participant_id, path, ...) and plain folders of NIfTI files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from neurofm.cohorts.found_scan import FoundScan, nifti_files, stem_of
from neurofm.cohorts.labels import known_columns, person_labels, require_column, text_or_none
from neurofm.cohorts.text_table import read_table
from neurofm.errors import TableError


def read_scan_table(table: Path) -> tuple[list[FoundScan], tuple[str, ...]]:
    """The scans of a CSV or TSV table; relative paths are relative to the table.

    Columns `participant_id` and `path` are needed; `session_id`, `mask_path`, `age_years`, `sex`,
    `diagnosis`, `site`, `split` and `cohort` are known; every other column is kept as a label.

    Raises:
        TableError: a needed column or cell is missing, or a scan is listed twice.
    """
    rows = read_table(table)
    for name in ("participant_id", "path"):
        require_column(name, rows[0], table)
    found = known_columns(rows[0])
    scans = []
    for number, row in enumerate(rows, start=2):
        cells = {name: text_or_none(row[column]) for name, column in found.items()}
        participant, path = cells["participant_id"], cells["path"]
        if participant is None or path is None:
            raise TableError(f"line {number} lacks participant_id or path", "fill it in", table)
        labels = person_labels(row, found, table)
        if cells.get("mask_path"):
            labels["mask_path"] = str(_absolute(str(cells["mask_path"]), table))
        cohort = labels.pop("cohort", None)
        scans.append(
            FoundScan(
                str(cohort or stem_of(table)),
                participant,
                _absolute(path, table),
                cells.get("session_id"),
                labels=labels,
            )
        )
    twice = [path for path, count in Counter(scan.path for scan in scans).items() if count > 1]
    if twice:
        raise TableError(f"lists {twice[0]} twice", "keep one row", table)
    return scans, ()


def read_folder(folder: Path) -> tuple[list[FoundScan], tuple[str, ...]]:
    """Every NIfTI file below a folder, each a participant of its own.

    The participant is the file's BIDS subject where its name has one, else the file's name.
    """
    return [_from_file(path, folder.resolve().name) for path in nifti_files(folder)], ()


def read_file(path: Path) -> tuple[list[FoundScan], tuple[str, ...]]:
    """A single NIfTI file as a cohort of one."""
    return [_from_file(path, path.resolve().parent.name)], ()


def _from_file(path: Path, cohort: str) -> FoundScan:
    entities = stem_of(path).split("_")
    subject = next((e.removeprefix("sub-") for e in entities if e.startswith("sub-")), None)
    session = next((e.removeprefix("ses-") for e in entities if e.startswith("ses-")), None)
    if subject is None:
        return FoundScan(cohort, stem_of(path), path)
    rest = [e for e in entities if not e.startswith(("sub-", "ses-")) and e != "T1w"]
    return FoundScan(cohort, subject, path, session, "_".join(rest))


def _absolute(text: str, table: Path) -> Path:
    return table.resolve().parent / Path(text).expanduser()
