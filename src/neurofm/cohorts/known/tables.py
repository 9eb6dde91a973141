"""The tables an archive gives beside its images: found by their key column, read as labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from neurofm.cohorts.known.description import KnownCohort
from neurofm.cohorts.labels import AGE_NAMES, Dialect, Labels, agreed, coded_sex_note, labels_of
from neurofm.cohorts.listing import named
from neurofm.cohorts.text_table import TextTable, plain_name, read_text_table

# What identifies a row, such as (participant, session).
Key = tuple[str | None, ...]


def dialect_of(cohort: KnownCohort) -> Dialect:
    """How a known cohort's tables name and code their labels."""
    usual = Dialect(age_names=(*cohort.age_columns, *AGE_NAMES), sex_levels=cohort.sexes)
    if cohort.diagnosis_column is None:
        return usual
    return replace(usual, diagnosis_names=(plain_name(cohort.diagnosis_column),))


def read_tables(folder: Path, pattern: str, key_names: Sequence[str]) -> list[TextTable]:
    """The CSV and TSV files of a pattern below a folder that have a column of one of the names."""
    paths = sorted(
        path for path in folder.rglob(pattern) if path.suffix.lower() in (".csv", ".tsv")
    )
    return [table for table in map(read_text_table, paths) if table.find(key_names)]


def without(table: TextTable, words: Sequence[str]) -> TextTable:
    """The table with cells of these words empty."""
    rows = tuple(tuple(None if cell in words else cell for cell in row) for row in table.rows)
    return replace(table, rows=rows)


def labels_by_key(
    folder: Path,
    cohort: KnownCohort,
    key_names: Sequence[str],
    key_of: Callable[[TextTable, str], Sequence[Key]],
    ignored: Sequence[str] = (),
) -> tuple[dict[Key, Labels], list[str]]:
    """The labels of the tables that lie in a folder, by the key of their rows, and notes.

    Args:
        folder: of the cohort; its subfolders are not searched.
        cohort: how its tables are written.
        key_names: names of the column that identifies a row.
        key_of: the key of every row of a table, given that column's name.
        ignored: columns, by their plain names, that are no labels.
    """
    rows: list[tuple[Key, Labels]] = []
    notes: list[str] = []
    for found in (t for t in read_tables(folder, "*", key_names) if t.path.parent == folder):
        table = without(found, cohort.missing)
        key = table.require(key_names)
        left = [name for name in table.columns if name == key or plain_name(name) in ignored]
        dialect = replace(dialect_of(cohort), key_columns=tuple(left))
        rows += zip(key_of(table, key), labels_of(table, dialect), strict=True)
        notes += coded_sex_note(table, dialect)
    known, contradicted = agreed(rows)
    if not rows:
        notes.append(f"there is no table with a column '{key_names[0]}': no labels")
    if contradicted:
        people = named([" ".join(filter(None, key)) for key in contradicted])
        notes.append(f"the tables contradict themselves on {people}: no labels")
    return known, notes
