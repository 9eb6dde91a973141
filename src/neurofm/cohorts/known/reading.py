"""A known cohort's folder, as downloaded, to its T1 scans with the paper's labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from neurofm.cohorts.bids import is_bids_folder, list_bids
from neurofm.cohorts.ixi import list_ixi
from neurofm.cohorts.known.clinical import with_clinical_diagnoses
from neurofm.cohorts.known.description import KnownCohort, Layout
from neurofm.cohorts.known.loni import list_loni
from neurofm.cohorts.known.meaning import with_meaning
from neurofm.cohorts.known.numbered import list_numbered
from neurofm.cohorts.known.tables import dialect_of
from neurofm.cohorts.listing import ListedScan, Listing, absolute, named
from neurofm.cohorts.other_forms import refusal_of
from neurofm.errors import TableError

LAYOUTS: dict[Layout, str] = {
    "bids": "a BIDS folder: participants.tsv and sub-*",
    "bids-sets": "a folder of BIDS folders",
    "loni": "SUBJECT/DESCRIPTION/DATE/IMAGE/*.nii and the CSV of the collection",
    "ixi": "IXI012-HH-1211-T1.nii.gz... and IXI.csv",
    "fcp-indi": "sub-*/anat, or NUMBER/session_1/anat_1, and a CSV of participants",
    "gsp": "Sub0001_Ses1/... and GSP_list_*.csv",
}


def list_known(folder: Path, cohort: KnownCohort) -> Listing:
    """The T1 scans of a known cohort's folder.

    Raises:
        TableError: no such folder, no T1 scan in the cohort's layout, or a table or label that
            cannot be meant.
    """
    if not folder.is_dir():
        raise TableError("is no folder", f"give the folder of {cohort.name} as downloaded", folder)
    found = _READERS[cohort.layout](folder, cohort)
    if not found.scans:
        other = refusal_of(folder)
        what = other.what if other else f"holds no T1 scan of {cohort.name}"
        mend = other.mend if other else f"wanted: {LAYOUTS[cohort.layout]}"
        raise TableError(what, mend, folder)
    scans, clinical_notes = with_clinical_diagnoses(found.scans, folder, cohort)
    scans, meaning_notes = with_meaning(scans, cohort)
    notes = [note.removeprefix(f"{cohort.name}: ") for note in found.notes]
    notes += [*clinical_notes, *meaning_notes, *_repeats(scans)]
    return Listing(tuple(scans), tuple(f"{cohort.name}: {note}" for note in notes))


def _repeats(scans: Sequence[ListedScan]) -> list[str]:
    visits = Counter((scan.participant_id, scan.session_id) for scan in scans)
    several = [" ".join(filter(None, visit)) for visit, count in visits.items() if count > 1]
    if not several:
        return []
    return [f"{len(several)} visits have more than one T1 scan, all are listed: {named(several)}"]


def _bids(folder: Path, cohort: KnownCohort) -> Listing:
    return list_bids(folder, cohort.name, dialect_of(cohort))


def _bids_sets(folder: Path, cohort: KnownCohort) -> Listing:
    """Several BIDS folders whose participants are told apart by the name of their folder."""
    sets = [folder] if is_bids_folder(folder) else sorted(filter(is_bids_folder, folder.iterdir()))
    scans: list[ListedScan] = []
    notes: list[str] = []
    for each in sets:
        listing, name = _bids(each, cohort), absolute(each).name
        scans += [
            replace(scan, participant_id=f"{name}-{scan.participant_id}") for scan in listing.scans
        ]
        notes += [f"{name}: {note.removeprefix(f'{cohort.name}: ')}" for note in listing.notes]
    return Listing(tuple(scans), tuple(notes))


def _ixi(folder: Path, cohort: KnownCohort) -> Listing:
    return list_ixi(folder, cohort.name)


_READERS: dict[Layout, Callable[[Path, KnownCohort], Listing]] = {
    "bids": _bids,
    "bids-sets": _bids_sets,
    "loni": list_loni,
    "ixi": _ixi,
    "fcp-indi": list_numbered,
    "gsp": list_numbered,
}
