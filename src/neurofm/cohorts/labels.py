"""What tables say of people, brought to one form: age in years, sex F or M, missing as None."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from neurofm.errors import TableError

_MISSING = {"", "n/a", "na", "nan", "none", "null", "."}
_SEX = {
    "f": "F", "female": "F", "woman": "F", "w": "F",
    "m": "M", "male": "M", "man": "M",
}  # fmt: skip
OLDEST_YEARS = 120.0

# Column of the index -> names it has in tables, in order of preference, lower case.
NAMES = {
    "participant_id": ("participant_id", "mrid", "ixi_id", "subject_id", "participant", "subject"),
    "session_id": ("session_id", "session", "ses"),
    "path": ("path", "t1_path", "image_path", "t1w_path"),
    "mask_path": ("mask_path", "mask"),
    "age_years": ("age_years", "age"),
    "sex": ("sex", "gender"),
    "diagnosis": ("diagnosis", "dx", "group", "participant_group"),
    "site": ("site", "scanner", "site_id"),
    "split": ("split",),
    "cohort": ("cohort", "dataset"),
}


def known_columns(columns: Iterable[str]) -> dict[str, str]:
    """Index column -> the table's column that holds it, for those the table has."""
    by_lower = {column.strip().lower(): column for column in reversed(list(columns))}
    found = {}
    for name, spellings in NAMES.items():
        present = [by_lower[spelling] for spelling in spellings if spelling in by_lower]
        if present:
            found[name] = present[0]
    return found


def require_column(name: str, columns: Iterable[str], where: Path) -> str:
    """The table's column for an index column, or a `TableError` with the nearest name."""
    columns = list(columns)
    found = known_columns(columns)
    if name in found:
        return found[name]
    lower = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name, lower, n=1)
    mend = f"did you mean '{lower[near[0]]}'?" if near else f"it has: {', '.join(columns)}"
    raise TableError(f"has no column '{name}'", mend, where)


def person_labels(
    row: Mapping[str, str], found: Mapping[str, str], where: Path
) -> dict[str, object]:
    """Age, sex and every other label of one table row, under index column names.

    Args:
        row: the row, all values text.
        found: result of `known_columns`.
        where: the table, for messages.

    Raises:
        TableError: an age or a sex that cannot be one.
    """
    used = set(found.values())
    labels: dict[str, object] = {
        column: text_or_none(value) for column, value in row.items() if column not in used
    }
    for name, column in found.items():
        if name == "age_years":
            labels[name] = age_in_years(row[column], where)
        elif name == "sex":
            labels[name] = sex_of(row[column], where)
        elif name not in {"participant_id", "session_id", "path", "mask_path"}:
            labels[name] = text_or_none(row[column])
    return labels


def text_or_none(value: str | None) -> str | None:
    """The text without surrounding space; None where a table means "missing"."""
    text = (value or "").strip()
    return None if text.lower() in _MISSING else text


def age_in_years(value: str, where: Path) -> float:
    """An age as a number; NaN where missing.

    Raises:
        TableError: no number, or no age of a living person.
    """
    text = text_or_none(value)
    if text is None:
        return math.nan
    try:
        age = float(text)
    except ValueError:
        age = math.inf
    if not 0 <= age <= OLDEST_YEARS:
        raise TableError(f"'{text}' is no age in years", "correct it or leave it empty", where)
    return age


def sex_of(value: str, where: Path) -> str | None:
    """ "F", "M", or None where missing.

    Raises:
        TableError: another value; numbers mean different things in different tables.
    """
    text = text_or_none(value)
    if text is None or text.lower() in {"o", "other", "unknown", "u"}:
        return None
    if text.lower() not in _SEX:
        raise TableError(f"'{text}' is no sex", "write F or M, or leave it empty", where)
    return _SEX[text.lower()]
