"""Age, sex, diagnosis and other labels in the spellings of participants tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from neurofm.cohorts.text_table import TextTable, plain_name
from neurofm.errors import TableError

AGE_NAMES = ("age_years", "age", "age_at_scan", "age_in_years", "age_yrs", "scan_age")
SEX_NAMES = ("sex", "gender", "sex_id", "gender_id")
SITE_NAMES = ("site", "site_id", "center", "centre")
_OLDEST_YEARS = 120.0
_SEXES = {
    "m": "M", "male": "M", "man": "M", "boy": "M", "1": "M", "1.0": "M",
    "f": "F", "female": "F", "woman": "F", "w": "F", "girl": "F", "2": "F", "2.0": "F",
    "o": None, "other": None, "u": None, "unknown": None, "x": None,
}  # fmt: skip
_AGE_MEND = f"write years as a plain number from 0 to {_OLDEST_YEARS:g}, or n/a"
_SEX_MEND = "write M, F or n/a"
_CODED_SEXES = {"1", "1.0", "2", "2.0"}
# Filled by neurofm itself; columns of these names are no labels.
_RESERVED = {"scan_id", "bytes", "sha256", "problem"}

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Labels:
    """What is known of a participant at a session; None where it is not known."""

    age_years: float | None = None
    sex: str | None = None
    diagnosis: str | None = None
    site: str | None = None
    split: str | None = None
    others: Mapping[str, str | None] = field(default_factory=dict)

    def updated(self, newer: Labels) -> Labels:
        """These labels, overruled by what `newer` knows."""
        known = {name: text for name, text in newer.others.items() if text is not None}
        return Labels(
            newer.age_years if newer.age_years is not None else self.age_years,
            newer.sex or self.sex,
            newer.diagnosis or self.diagnosis,
            newer.site or self.site,
            newer.split or self.split,
            {**newer.others, **self.others, **known},
        )


@dataclass(frozen=True)
class Dialect:
    """How one kind of table names and codes its labels.

    Attributes:
        diagnosis_names: columns that hold the diagnosis, the preferred first.
        age_names: the same of the age.
        sex_levels: the table's own code book for sex, e.g. {"0": "female"}.
        years_per_age_unit: 1 where ages are in years.
        key_columns: columns that identify the row and are no labels.
    """

    diagnosis_names: tuple[str, ...] = ("diagnosis", "dx", "group", "diagnosis_group")
    age_names: tuple[str, ...] = AGE_NAMES
    sex_levels: Mapping[str, str] = field(default_factory=dict)
    years_per_age_unit: float = 1.0
    key_columns: tuple[str, ...] = ()


def labels_of(table: TextTable, dialect: Dialect) -> tuple[Labels, ...]:
    """The labels of every row; label columns that are not known are kept under their own name.

    Raises:
        TableError: an age or a sex that cannot be meant; the lines are named.
    """
    names = {
        "age": table.find(dialect.age_names),
        "sex": table.find(SEX_NAMES),
        "diagnosis": table.find(dialect.diagnosis_names),
        "site": table.find(SITE_NAMES),
        "split": table.find(("split",)),
    }
    unit = dialect.years_per_age_unit
    ages = _parsed(table, names["age"], lambda text: parse_age(text, unit), _AGE_MEND)
    sexes = _parsed(table, names["sex"], lambda text: _sex(text, dialect.sex_levels), _SEX_MEND)
    diagnoses, sites, splits = (
        _parsed(table, names[name], str, "") for name in ("diagnosis", "site", "split")
    )
    used = {*names.values(), *dialect.key_columns}
    others = [c for c in table.columns if c not in used and plain_name(c) not in _RESERVED]
    kept = [
        dict(zip(others, cells, strict=True))
        for cells in zip(*(table.column(name) for name in others), strict=True)
    ] or [{} for _ in table.rows]
    return tuple(
        Labels(age, sex, diagnosis, site, split, other)
        for age, sex, diagnosis, site, split, other in zip(
            ages, sexes, diagnoses, sites, splits, kept, strict=True
        )
    )


def coded_sex_note(table: TextTable, dialect: Dialect) -> tuple[str, ...]:
    """A note where sex is coded 1 and 2 without a code book."""
    name = table.find(SEX_NAMES)
    codes = {cell for cell in table.column(name) if cell} if name else set()
    if codes & _CODED_SEXES - set(dialect.sex_levels):
        return (f"{table.path.name}: '{name}' is coded: 1 was read as M, 2 as F",)
    return ()


def parse_age(text: str, years_per_unit: float = 1.0) -> float:
    """Years of an age as tables write it; a `ValueError` where it cannot be one."""
    plain = re.sub(r"^(\d+),(\d+)$", r"\1.\2", text)
    if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", plain):
        raise ValueError(text)
    years = float(plain) * years_per_unit
    if years > _OLDEST_YEARS:
        raise ValueError(text)
    return years


def agreed(rows: Iterable[tuple[Key, Value]]) -> tuple[dict[Key, Value], list[Key]]:
    """What rows say of each key, and the keys of which they say different things."""
    known: dict[Key, Value] = {}
    contradicted: dict[Key, None] = {}
    for key, value in rows:
        if known.setdefault(key, value) != value:
            contradicted[key] = None
    return {key: value for key, value in known.items() if key not in contradicted}, [*contradicted]


def _parsed(
    table: TextTable, column: str | None, parse: Callable[[str], Value | None], mend: str
) -> list[Value | None]:
    if column is None:
        return [None] * len(table.rows)
    values: list[Value | None] = []
    faults: list[str] = []
    for line, cell in zip(table.lines, table.column(column), strict=True):
        try:
            values.append(None if cell is None else parse(cell))
        except ValueError:
            faults.append(f"'{cell}' (line {line})")
    if faults:
        shown = ", ".join(faults[:5]) + (f" and {len(faults) - 5} more" if faults[5:] else "")
        raise TableError(f"'{column}' cannot be {shown}", mend, table.path)
    return values


def _sex(text: str, levels: Mapping[str, str]) -> str | None:
    plain = levels.get(text, text).strip().casefold()
    if plain not in _SEXES:
        raise ValueError(text)
    return _SEXES[plain]
