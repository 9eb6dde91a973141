"""Plain tables of scans: participant_id, path and whatever labels stand beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from neurofm.cohorts.labels import AGE_NAMES, SEX_NAMES, Dialect, coded_sex_note, labels_of
from neurofm.cohorts.listing import ListedScan, Listing
from neurofm.cohorts.text_table import TextTable, nearest, plain_name, read_text_table
from neurofm.errors import TableError

_PERSON = "participant_id"
_KEYS = (_PERSON, "path", "session_id", "mask_path", "cohort")
_OPTIONAL = ("session_id", "mask_path", "age_years", "sex", "diagnosis", "site", "split")
_SYNONYMS = {"age_years": AGE_NAMES, "sex": SEX_NAMES}
# Optional columns are guessed at only when the name is nearly right: others may be labels.
_NEARLY_RIGHT = 0.8


def list_table(
    path: Path, root: Path | None = None, one_scan_per_participant: bool = False
) -> Listing:
    """The scans of a CSV or TSV; relative paths start at the table's folder.

    Args:
        path: of the table.
        root: where its paths begin on this machine: as many leading folders of each as lead to the
            most files are exchanged for it.
        one_scan_per_participant: where no column says who it is, each line is another person.

    Raises:
        TableError: a missing or misspelt column, an empty id or path, a label that cannot be
            meant, contradicting lines, or a table of which no scan is on this machine.
    """
    table = read_text_table(path)
    if not one_scan_per_participant or nearest(_PERSON, table.columns):
        return list_rows(table, root)
    return list_strangers(table, [str(number + 1) for number in range(len(table.rows))], root)


def list_rows(table: TextTable, root: Path | None = None) -> Listing:
    """As `list_table`, of a table that was read already."""
    path = table.path
    participant, scan_path = table.require((_PERSON,)), table.require(("path",))
    _refuse_near_misses(table)
    session, mask, cohort = (table.find((name,)) for name in ("session_id", "mask_path", "cohort"))
    keys = tuple(name for name in (participant, scan_path, session, mask, cohort) if name)
    dialect = Dialect(diagnosis_names=("diagnosis",), key_columns=keys)
    none = (None,) * len(table.rows)
    here = _placing(path.parent, root, table.require_filled(scan_path))
    columns = zip(
        table.column(cohort) if cohort else none,
        table.require_filled(participant),
        table.require_filled(scan_path),
        table.column(session) if session else none,
        table.column(mask) if mask else none,
        labels_of(table, dialect),
        strict=True,
    )
    scans = tuple(
        ListedScan(
            name or path.stem,
            person,
            here(place),
            visit,
            mask_path=here(mask_place) if mask_place else None,
            labels=labels,
        )
        for name, person, place, visit, mask_place, labels in columns
    )
    _require_some_here(scans, path)
    return Listing(scans, tuple(f"{path.stem}: {n}" for n in coded_sex_note(table, dialect)))


def list_strangers(table: TextTable, names: Sequence[str], root: Path | None = None) -> Listing:
    """As `list_rows`, of a table that does not say who was scanned: each line is another person.

    Args:
        table: without participants.
        names: of the people, a line each.
        root: see `list_table`.
    """
    rows = tuple((*row, name) for row, name in zip(table.rows, names, strict=True))
    listing = list_rows(replace(table, columns=(*table.columns, _PERSON), rows=rows), root)
    note = f"{len(rows)} scans were taken for as many participants, as was said"
    return Listing(listing.scans, (*listing.notes, note))


def _placing(folder: Path, root: Path | None, written: Sequence[str]) -> Callable[[str], Path]:
    """How a written path becomes one of this machine."""
    if root is None:
        return lambda place: folder / place

    def moved(place: str, leading: int) -> Path:
        parts = Path(place).parts
        return root.joinpath(*parts[min(leading + Path(place).is_absolute(), len(parts) - 1) :])

    deepest = max(len(Path(place).parts) for place in written)
    leading = max(
        range(deepest),
        key=lambda count: sum(os.path.lexists(moved(place, count)) for place in written),
    )
    return lambda place: moved(place, leading)


def _refuse_near_misses(table: TextTable) -> None:
    known = {name for key in (*_KEYS, *_OPTIONAL) for name in _SYNONYMS.get(key, (key,))}
    unknown = [column for column in table.columns if plain_name(column) not in known]
    for name in _OPTIONAL:
        if table.find(_SYNONYMS.get(name, (name,))) is None:
            near = nearest(name, unknown, _NEARLY_RIGHT)
            if near:
                raise TableError(
                    f"the column '{near}' is unknown",
                    f"did you mean '{name}'? rename it", table.path,
                )  # fmt: skip


def _require_some_here(scans: tuple[ListedScan, ...], path: Path) -> None:
    if len(scans) > 1 and not any(os.path.lexists(scan.path) for scan in scans):
        raise TableError(
            f"none of its {len(scans)} scans exists here; the first is {scans[0].path}",
            "give the folder where its paths begin here with --root, or correct the column 'path'",
            path,
        )  # fmt: skip
