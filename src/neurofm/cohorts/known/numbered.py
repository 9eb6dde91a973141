"""Archives that number people and sessions in their paths: FCP-INDI and GSP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from neurofm.cohorts.bids_names import nifti_files, nifti_stem, parse_bids_name
from neurofm.cohorts.known.description import KnownCohort
from neurofm.cohorts.known.t1_names import is_t1_name
from neurofm.cohorts.known.tables import Key, labels_by_key
from neurofm.cohorts.labels import Labels
from neurofm.cohorts.listing import ListedScan, Listing, named, others_note
from neurofm.cohorts.text_table import TextTable

# Each finds the participant, and where the path says so the site, session and run.
_PATHS = {
    "fcp-indi": (
        # SITE/sub-0025427/ses-1/anat/sub-0025427_ses-1_run-1_T1w.nii.gz
        r"((?P<site>(?!RawData)[^/]+)/)?sub-(?P<person>\d+)/(ses-(?P<session>\w+)/)?anat/[^/]+",
        # SITE/0025427/session_1/anat_1/anat.nii.gz
        r"((?P<site>(?!RawData)[^/]+)/)?(?P<person>\d+)/session_(?P<session>\d+)/anat_(?P<run>\d+)/[^/]+",
        # SITE_0025427_baseline/anat_1/NIfTI/anat.nii.gz
        r"(?P<site>[^/]+)_(?P<person>\d+)_(?P<session>baseline|retest_\d+)/anat_(?P<run>\d+)/.+",
    ),
    # Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1.nii.gz
    "gsp": (r"(?P<person>Sub\d+)_(?P<session>Ses\d+)/.+",),
}
_KEY_NAMES = ("subid", "sub_id", "subject_id", "participant_id")
_SESSION_NAMES = ("session", "session_id")
_GSP_ID = re.compile(r"(Sub\d+)_(Ses\d+)")


def list_numbered(folder: Path, cohort: KnownCohort) -> Listing:
    """The T1 scans of an FCP-INDI or GSP folder, joined with its table by person and session."""
    known, notes = labels_by_key(folder, cohort, _KEY_NAMES, _keys, _SESSION_NAMES)
    scans: list[ListedScan] = []
    others: list[str] = []
    for path in nifti_files(folder):
        found = _found(path.relative_to(folder).as_posix(), cohort.layout)
        name = parse_bids_name(path)
        series = name.suffix if name else nifti_stem(path)
        if found is None or not is_t1_name(series, cohort.t1_names):
            others.append(series)
            continue
        scans.append(_listed(path, cohort.name, found, known))
    notes += others_note(others, "their place and name")
    people = {key[0] for key in known}
    unlisted = sorted({s.participant_id for s in scans if _plain(s.participant_id) not in people})
    if known and unlisted:
        notes.append(f"{len(unlisted)} participants are not in the table: {named(unlisted)}")
    return Listing(tuple(scans), tuple(notes))


def _found(path: str, layout: str) -> Mapping[str, str | None] | None:
    for pattern in _PATHS[layout]:
        if found := re.fullmatch(rf"(.*?/)??{pattern}", path):
            return found.groupdict()
    return None


def _listed(
    path: Path, cohort: str, found: Mapping[str, str | None], known: Mapping[Key, Labels]
) -> ListedScan:
    person, session, run = str(found["person"]), found.get("session"), found.get("run")
    name = parse_bids_name(path)
    labels = Labels(site=found.get("site"))
    # A path that names no session is of the first one.
    for key in ((_plain(person), None), (_plain(person), _session(session or "1"))):
        labels = labels.updated(known.get(key, Labels()))
    parts = name.parts if name else (f"run-{run}",) if run else ()
    return ListedScan(cohort, person, path, session, parts, labels=labels)


def _keys(table: TextTable, column: str) -> list[Key]:
    sessions = table.find(_SESSION_NAMES)
    visits = table.column(sessions) if sessions else (None,) * len(table.rows)
    return [
        _key(cell, visit) for cell, visit in zip(table.require_filled(column), visits, strict=True)
    ]


def _key(person: str, visit: str | None) -> Key:
    both = _GSP_ID.fullmatch(person)
    if both:
        return both[1], _session(both[2])
    return _plain(person.removeprefix("sub-")), _session(visit)


def _plain(person: str) -> str:
    """Spreadsheets lose the zeros that a number begins with."""
    return person.lstrip("0")


def _session(text: str | None) -> str | None:
    """The number of a session: "Baseline", "1" and "Ses1" are 1, "Retest_1" is 2."""
    if text is None:
        return None
    number = re.search(r"\d+", text)
    if "baseline" in text.casefold() or number is None:
        return "1"
    return str(int(number[0]) + ("retest" in text.casefold()))
