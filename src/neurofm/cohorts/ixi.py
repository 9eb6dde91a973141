"""IXI: files called IXI012-HH-1211-T1.nii.gz and the table of participants near them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from neurofm.cohorts.bids_names import nifti_files, nifti_stem
from neurofm.cohorts.labels import Dialect, Labels, agreed, coded_sex_note, labels_of
from neurofm.cohorts.listing import ListedScan, Listing, named, others_note
from neurofm.cohorts.text_table import read_text_table
from neurofm.errors import TableError

# Participant, hospital (Guys, HH, IOP), number of the visit.
_NAME = re.compile(r"(IXI\d+)-([A-Za-z]+)-(\d+)-T1", re.IGNORECASE)
_KEY_NAMES = ("mrid", "ixi_id", "participant_id", "subject_id")


def is_ixi_folder(folder: Path) -> bool:
    """Whether a file with an IXI name of a T1 scan lies anywhere below a folder."""
    return any(_NAME.fullmatch(nifti_stem(path)) for path in nifti_files(folder))


def list_ixi(folder: Path, cohort: str) -> Listing:
    """The T1 scans with IXI names below a folder; the hospital in the name is the site.

    Labels come from the one CSV or TSV in the folder with a column MRID or IXI_ID. The number in
    the name is the session of people who were scanned under several. Other series are counted in
    a note.

    Raises:
        TableError: two such tables, or one that cannot be read.
    """
    known, notes = _table_labels(folder)
    files = nifti_files(folder)
    found = [(path, name) for path in files if (name := _NAME.fullmatch(nifti_stem(path)))]
    t1 = {path for path, _ in found}
    notes += others_note(_series(path) for path in files if path not in t1)
    visits = Counter(person for person, _ in {(name[1].upper(), name[3]) for _, name in found})
    scans = [_listed(path, name, cohort, known, visits) for path, name in found]
    unlisted = [
        scan.participant_id
        for scan in scans
        if known and not {scan.participant_id, _mrid(scan.path)} & set(known)
    ]
    if unlisted:
        notes.append(f"{len(unlisted)} scans are not in the table: {named(unlisted)}")
    return Listing(tuple(scans), tuple(f"{cohort}: {note}" for note in notes))


def _listed(
    path: Path,
    name: re.Match[str],
    cohort: str,
    known: Mapping[str, Labels],
    visits: Mapping[str, int],
) -> ListedScan:
    participant, labels = name[1].upper(), Labels(site=name[2])
    for key in (participant, _mrid(path)):
        labels = labels.updated(known.get(key, Labels()))
    session = name[3] if visits[participant] > 1 else None
    return ListedScan(cohort, participant, path, session, labels=labels)


def _series(path: Path) -> str:
    """ "T2", "PD", "MRA" or "DTI": what stands behind the visit, without the number of a volume."""
    return re.sub(r"^IXI\d+-[A-Za-z]+-\d+-|-\d+$", "", nifti_stem(path), flags=re.IGNORECASE)


def _mrid(path: Path) -> str:
    return nifti_stem(path).upper().removesuffix("-T1")


def _table_labels(folder: Path) -> tuple[dict[str, Labels], list[str]]:
    path = _table_of(folder)
    if path is None:
        sheets = [sheet.name for sheet in sorted(folder.glob("*.xls*"))]
        mend = f"; save {sheets[0]} as CSV" if sheets else ""
        return {}, [f"there is no table with a column MRID or IXI_ID: no labels{mend}"]
    table = read_text_table(path)
    column = table.require(_KEY_NAMES)
    dialect = Dialect(key_columns=(column,))
    keys = (_full_key(cell) for cell in table.require_filled(column))
    known, contradicted = agreed(zip(keys, labels_of(table, dialect), strict=True))
    notes = list(coded_sex_note(table, dialect))
    if contradicted:
        notes.append(f"the table contradicts itself on {named(sorted(contradicted))}: no labels")
    return known, notes


def _table_of(folder: Path) -> Path | None:
    paths = sorted(path for ending in ("csv", "tsv") for path in folder.glob(f"*.{ending}"))
    tables = [path for path in paths if read_text_table(path).find(_KEY_NAMES)]
    if len(tables) > 1:
        raise TableError(
            f"holds several tables of participants: {named([path.name for path in tables])}",
            "keep one", folder,
        )  # fmt: skip
    return tables[0] if tables else None


def _full_key(cell: str) -> str:
    """ "2" and "IXI002" name the same participant; an MRID stays as it is."""
    return f"IXI{int(cell):03d}" if cell.isdigit() else cell.upper().removesuffix("-T1")
