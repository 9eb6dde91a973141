"""Diagnoses that stand in a table apart, visit by visit, put beside the scans of those visits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neurofm.cohorts.known.description import ClinicalTable, KnownCohort
from neurofm.cohorts.known.tables import Key, read_tables, without
from neurofm.cohorts.labels import agreed
from neurofm.cohorts.listing import ListedScan, named
from neurofm.cohorts.text_table import plain_name

_FIRST_VISITS = {"bl", "sc", "base", "baseline", "screening"}


def with_clinical_diagnoses(
    scans: Sequence[ListedScan], folder: Path, cohort: KnownCohort
) -> tuple[list[ListedScan], list[str]]:
    """The scans with the diagnosis of their visit, where the cohort has such a table; and notes.

    A visit without a line keeps the diagnosis it had.
    """
    if cohort.clinical is None:
        return list(scans), []
    known, contradicted = _diagnoses(folder, cohort, cohort.clinical)
    if not known:
        return list(scans), [f"there is no table {cohort.clinical.files}: no diagnoses from it"]
    notes = []
    if contradicted:
        visits = named([" ".join(filter(None, key)) for key in contradicted])
        notes.append(f"the clinical tables contradict themselves on {visits}: not used")
    keys = [(scan.participant_id, _visit(scan.session_id)) for scan in scans]
    if missing := [key for key in keys if key not in known]:
        people = named(sorted({key[0] for key in missing}))
        notes.append(f"{len(missing)} scans have no line in the clinical table: {people}")
    return [
        replace(scan, labels=replace(scan.labels, diagnosis=known[key])) if key in known else scan
        for scan, key in zip(scans, keys, strict=True)
    ], notes


def _diagnoses(
    folder: Path, cohort: KnownCohort, clinical: ClinicalTable
) -> tuple[dict[Key, str], list[Key]]:
    rows: list[tuple[Key, str]] = []
    for found in read_tables(folder, clinical.files, (plain_name(clinical.participant),)):
        table = without(found, cohort.missing)
        people, visits, diagnoses = (
            table.column(table.require((plain_name(name),)))
            for name in (clinical.participant, clinical.visit, clinical.diagnosis)
        )
        rows += [
            ((person, _visit(visit)), diagnosis)
            for person, visit, diagnosis in zip(people, visits, diagnoses, strict=True)
            if person is not None and diagnosis is not None
        ]
    return agreed(rows)


def _visit(text: str | None) -> str:
    """A visit's number: "bl" and "Baseline" are 0, "m18" and "18 Month follow-up" are 18."""
    plain = (text or "").strip().casefold()
    number = re.search(r"\d+", plain)
    if plain in _FIRST_VISITS:
        return "0"
    return str(int(number[0])) if number else plain
