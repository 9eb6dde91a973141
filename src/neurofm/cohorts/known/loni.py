"""Downloads of the LONI archive: SUBJECT/DESCRIPTION/DATE/IMAGE and the table of a collection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofm.cohorts.bids_names import nifti_files
from neurofm.cohorts.known.description import KnownCohort
from neurofm.cohorts.known.t1_names import is_t1_name
from neurofm.cohorts.known.tables import Key, labels_by_key
from neurofm.cohorts.labels import Labels
from neurofm.cohorts.listing import ListedScan, Listing, named, others_note
from neurofm.cohorts.text_table import TextTable

_KEY_NAMES = ("image_data_id", "image_id")
_IGNORED = ("subject", "format", "downloaded")
_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(_.*)?")
_IMAGE = re.compile(r"[A-Z]?(\d+)", re.IGNORECASE)
_MRI = {"mri", "mr"}


@dataclass(frozen=True)
class _Series:
    """One NIfTI file with what its folders and its row of the collection say."""

    path: Path
    participant: str
    day: str
    visit: str
    image: str
    description: str
    is_mri: bool
    is_processed: bool
    labels: Labels
    is_listed: bool


def list_loni(folder: Path, cohort: KnownCohort) -> Listing:
    """The T1 scans of a LONI download; visit, age, sex and group are those of its collection's CSV.

    All T1 series of a visit are listed. Those that the archive processed itself count only where
    their visit has no original one.
    """
    known, notes = labels_by_key(folder, cohort, _KEY_NAMES, _keys, _IGNORED)
    files = nifti_files(folder)
    series = [found for path in files if (found := _series(path, folder, known))]
    if len(series) < len(files):
        strays = len(files) - len(series)
        notes.append(f"{strays} files lie in no SUBJECT/DESCRIPTION/DATE/IMAGE folder: left")
    t1 = [s for s in series if _is_t1(s, cohort)]
    notes += others_note(s.description for s in series if not _is_t1(s, cohort))
    kept = sorted(_without_processed(t1), key=_place)
    if len(kept) < len(t1):
        notes.append(f"{len(t1) - len(kept)} processed copies of original series: left")
    if unlisted := [each.image for each in kept if known and not each.is_listed]:
        notes.append(f"{len(unlisted)} images are not in the table: {named(unlisted)}")
    return Listing(tuple(_listed(each, cohort.name) for each in kept), tuple(notes))


def _keys(table: TextTable, column: str) -> list[Key]:
    return [(_number(cell),) for cell in table.require_filled(column)]


def _number(image: str) -> str:
    """ "I13722" and "13722" are the same image."""
    found = _IMAGE.fullmatch(image)
    return found[1] if found else image


def _series(path: Path, root: Path, known: dict[Key, Labels]) -> _Series | None:
    folders = path.relative_to(root).parts[:-1]
    if len(folders) < 4:
        return None
    participant, description, date, image = folders[-4:]
    day, is_image = _DATE.fullmatch(date), _IMAGE.fullmatch(image)
    if day is None or is_image is None:
        return None
    labels = known.get((_number(image),))
    row = labels.others if labels else {}
    return _Series(
        path=path,
        participant=participant,
        day=day[1],
        visit=row.get("Visit") or day[1],
        image=image,
        description=row.get("Description") or description,
        is_mri=(row.get("Modality") or "MRI").casefold() in _MRI,
        is_processed="process" in (row.get("Type") or "").casefold(),
        labels=labels or Labels(),
        is_listed=labels is not None,
    )


def _is_t1(series: _Series, cohort: KnownCohort) -> bool:
    return series.is_mri and is_t1_name(series.description, cohort.t1_names)


def _place(series: _Series) -> tuple[str, str, int]:
    return series.participant, series.day, int(_number(series.image))


def _without_processed(series: Sequence[_Series]) -> list[_Series]:
    originals = {(each.participant, each.visit) for each in series if not each.is_processed}
    return [
        each
        for each in series
        if not each.is_processed or (each.participant, each.visit) not in originals
    ]


def _listed(series: _Series, cohort: str) -> ListedScan:
    return ListedScan(
        cohort,
        series.participant,
        series.path,
        series.visit,
        (series.image,),
        labels=series.labels,
    )
