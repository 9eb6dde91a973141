"""IXI naming: IXI012-HH-1211-T1.nii.gz (person, hospital, scan number) and its table."""

from __future__ import annotations

import re
from pathlib import Path

from neurofm.cohorts.found_scan import FoundScan, nifti_files, stem_of
from neurofm.cohorts.labels import known_columns, person_labels, text_or_none
from neurofm.cohorts.text_table import read_table
from neurofm.errors import TableError

_T1 = re.compile(r"^(IXI(\d+)-([A-Za-z]+)-\d+)-T1$")
_ID = re.compile(r"^(?:IXI)?0*(\d+)(?:-.*)?$")
# IXI's own table codes sex as numbers under this name.
_CODED_SEX = re.compile(r"^sex_id\b.*1\s*=\s*m", re.IGNORECASE)


def is_ixi(folder: Path) -> bool:
    """Whether a folder holds files with IXI's T1 names."""
    return any(_T1.match(stem_of(path)) for path in nifti_files(folder))


def read_ixi(folder: Path) -> tuple[list[FoundScan], tuple[str, ...]]:
    """Every T1 scan below a folder of IXI files; the hospital is the site.

    Labels come from the CSV or TSV table in the folder that names people by MRID or IXI_ID.

    Raises:
        TableError: the table cannot be used.
    """
    labels = _labels(folder)
    scans, notes = [], []
    for path in nifti_files(folder):
        match = _T1.match(stem_of(path))
        if not match:
            continue
        person = labels.get(int(match[2]), {})
        if not person:
            notes.append(f"{match[1]} is in no table: no labels")
        labelled = {"site": match[3], **person}
        scans.append(FoundScan(folder.resolve().name, match[1], path, labels=labelled))
    return scans, tuple(notes)


def _labels(folder: Path) -> dict[int, dict[str, object]]:
    """Labels by IXI number, from the first table that names people."""
    for table in sorted([*folder.glob("*.csv"), *folder.glob("*.tsv")]):
        rows = read_table(table)
        coded = next((column for column in rows[0] if _CODED_SEX.match(column)), None)
        if coded:
            rows = [
                {("sex" if name == coded else name): _decoded(value, name == coded)
                 for name, value in row.items()}
                for row in rows
            ]  # fmt: skip
        found = known_columns(rows[0])
        if "participant_id" not in found:
            continue
        return {
            _number(row[found["participant_id"]], table): {
                name: value
                for name, value in person_labels(row, found, table).items()
                if value is not None
            }
            for row in rows
        }
    return {}


def _decoded(value: str, is_sex: bool) -> str:
    return {"1": "M", "2": "F"}.get(value.strip(), "") if is_sex else value


def _number(text: str, table: Path) -> int:
    match = _ID.match(text_or_none(text) or "")
    if not match:
        raise TableError(f"'{text}' is no IXI number", "", table)
    return int(match[1])
