"""BIDS folders: participants.tsv, sessions.tsv, several T1w scans for each session."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from neurofm.cohorts.bids_names import nifti_files, nifti_stem, parse_bids_name
from neurofm.cohorts.labels import AGE_NAMES, SEX_NAMES, Dialect, Labels, coded_sex_note, labels_of
from neurofm.cohorts.listing import ListedScan, Listing, named, others_note
from neurofm.cohorts.text_table import TextTable, plain_name, read_text_table
from neurofm.errors import TableError
from neurofm.files import read_json

_YEARS_PER_UNIT = {"month": 1 / 12, "week": 7 / 365.25, "day": 1 / 365.25}
_PARTICIPANT_NAMES = ("participant_id", "subject_id", "subject", "participant")
_SESSION_NAMES = ("session_id", "session")
_PHASE = "part-phase"

# Labels by (participant, session); session None holds for all sessions of the participant.
_Known = dict[tuple[str, str | None], Labels]
_USUAL = Dialect()


def is_bids_folder(folder: Path) -> bool:
    """Whether a folder holds sub-* folders, as BIDS says."""
    return any(path.is_dir() for path in folder.glob("sub-*"))


def list_bids(folder: Path, cohort: str, usual: Dialect = _USUAL) -> Listing:
    """The T1w scans below sub-* with the labels of the tables beside them.

    Derivatives and source data are not looked into; other series are counted in a note.

    Args:
        folder: of the data set.
        cohort: its name.
        usual: how its tables name their columns; their code books come first.

    Raises:
        TableError: a table that cannot be read or contradicts itself.
    """
    known, notes = _participants(folder, usual)
    scans: list[ListedScan] = []
    empty: list[str] = []
    others: list[str] = []
    for person in sorted(path for path in folder.glob("sub-*") if path.is_dir()):
        sessions = _sessions(person, usual)
        files = nifti_files(person)
        t1w = [path for path in files if _is_t1w(path)]
        found = [_listed(path, person.name, cohort, known, sessions) for path in t1w]
        scans += found
        others += [_series(path) for path in files if not _is_t1w(path)]
        if not found:
            empty.append(person.name)
    if empty:
        notes.append(f"{len(empty)} participants have no T1w scan: {named(empty)}")
    notes += others_note(others)
    notes += _compare(known, {scan.participant_id for scan in scans} | set(empty))
    return Listing(tuple(scans), tuple(f"{cohort}: {note}" for note in notes))


def _is_t1w(path: Path) -> bool:
    """A phase is no image of the head."""
    name = parse_bids_name(path)
    return name is not None and name.suffix == "T1w" and _PHASE not in name.parts


def _series(path: Path) -> str:
    """What a file shows, by its name."""
    name = parse_bids_name(path)
    if name is None:
        return nifti_stem(path)
    return f"{_PHASE}_{name.suffix}" if _PHASE in name.parts else name.suffix


def _listed(
    path: Path, participant: str, cohort: str, known: _Known, sessions: _Known
) -> ListedScan:
    name = parse_bids_name(path)
    folder = next((part for part in path.parts[-3:-1] if part.startswith("ses-")), None)
    session = (name.session if name else None) or folder
    labels = known.get((participant, None), Labels())
    for newer in (known, sessions):
        labels = labels.updated(newer.get((participant, session), Labels()))
    return ListedScan(cohort, participant, path, session, name.parts if name else (), labels=labels)


def _participants(folder: Path, usual: Dialect) -> tuple[_Known, list[str]]:
    path = next((p for e in ("tsv", "csv") if (p := folder / f"participants.{e}").exists()), None)
    if path is None:
        return {}, ["there is no participants.tsv: no labels"]
    table = read_text_table(path)
    key = table.require(_PARTICIPANT_NAMES)
    session = table.find(_SESSION_NAMES)
    people = [_prefixed("sub-", cell) for cell in table.require_filled(key)]
    visits = table.column(session) if session else (None,) * len(people)
    keys = [
        (person, None if visit is None else _prefixed("ses-", visit))
        for person, visit in zip(people, visits, strict=True)
    ]
    dialect = _dialect(table, (key, session), usual)
    return _unambiguous(table, keys, dialect), list(coded_sex_note(table, dialect))


def _sessions(person: Path, usual: Dialect) -> _Known:
    path = person / f"{person.name}_sessions.tsv"
    if not path.exists():
        return {}
    table = read_text_table(path)
    key = table.require(_SESSION_NAMES)
    keys: list[tuple[str, str | None]] = [
        (person.name, _prefixed("ses-", cell)) for cell in table.require_filled(key)
    ]
    return _unambiguous(table, keys, _dialect(table, (key,), usual))


def _unambiguous(table: TextTable, keys: list[tuple[str, str | None]], dialect: Dialect) -> _Known:
    known: _Known = {}
    for key, labels, line in zip(keys, labels_of(table, dialect), table.lines, strict=True):
        if known.get(key, labels) != labels:
            raise TableError(
                f"line {line} contradicts an earlier line on {' '.join(filter(None, key))}",
                "keep one of them, or add a session_id column", table.path,
            )  # fmt: skip
        known[key] = labels
    return known


def _dialect(table: TextTable, keys: tuple[str | None, ...], usual: Dialect) -> Dialect:
    """The table's own code book, the JSON file of the same name, where it has one."""
    path = table.path.with_suffix(".json")
    book: Any = {}
    if path.exists():
        try:
            book = read_json(path)
        except ValueError:
            raise TableError("is not JSON", "mend it or remove it", path) from None
    levels, units = _entry(book, SEX_NAMES, "Levels"), _entry(book, AGE_NAMES, "Units")
    sexes = {k: str(_description(v)) for k, v in levels.items()} if isinstance(levels, dict) else {}
    unit = str(units or "").strip().casefold().rstrip("s")
    return replace(
        usual,
        sex_levels={**usual.sex_levels, **sexes},
        years_per_age_unit=_YEARS_PER_UNIT.get(unit, 1.0),
        key_columns=tuple(key for key in keys if key),
    )


def _entry(book: Any, names: tuple[str, ...], field: str) -> Any:
    for column, entry in book.items() if isinstance(book, dict) else ():
        if plain_name(column) in names and isinstance(entry, dict):
            return entry.get(field)
    return None


def _description(level: Any) -> Any:
    return level.get("Description", "") if isinstance(level, dict) else level


def _prefixed(prefix: str, text: str) -> str:
    return text if text.startswith(prefix) else prefix + text


def _compare(known: _Known, present: set[str]) -> list[str]:
    in_table = {person for person, _ in known}
    notes = []
    if known and (unlisted := sorted(present - in_table)):
        notes.append(f"{len(unlisted)} participants are not in the table: {named(unlisted)}")
    if absent := sorted(in_table - present):
        notes.append(f"{len(absent)} participants of the table have no folder: {named(absent)}")
    return notes
