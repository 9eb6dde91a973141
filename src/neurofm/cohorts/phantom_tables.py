"""The tables of a phantom cohort: who they are and what is true of them, as BIDS has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from neurofm.cohorts.phantom_people import Person
from neurofm.cohorts.phantom_sites import SITES
from neurofm.files import write_json, write_text
from neurofm.versions import package_version

_README = """Simulated heads made by neurofm (command: neurofm phantom). No person was scanned.
The true volumes are in participants.tsv (first session) and sub-*/*_sessions.tsv (each session).
"""
_COLUMNS = {
    "participant_id": {"Description": "Participant; with the seed it decides everything else."},
    "age": {"Description": "Age at the first session.", "Units": "years"},
    "sex": {"Description": "Sex.", "Levels": {"F": "female", "M": "male"}},
    "site": {"Description": "Simulated scanner."},
    "diagnosis": {
        "Description": "Diagnosis.",
        "Levels": {
            "H": "healthy",
            "MCI": "mild cognitive impairment",
            "AD": "Alzheimer's disease",
            "S": "stroke",
        },
    },
    "nihss": {"Description": "NIH stroke scale, 0 to 42; n/a without a stroke."},
    "brain_ml": {
        "Description": "True volume inside the brain's hull: grey, white, fluid, lesion.",
        "Units": "ml",
    },
    "gm_ml": {"Description": "True volume of grey matter.", "Units": "ml"},
    "wm_ml": {"Description": "True volume of white matter.", "Units": "ml"},
    "csf_ml": {"Description": "True volume of cerebrospinal fluid in the hull.", "Units": "ml"},
    "ventricle_ml": {
        "Description": "The part of csf_ml in the lateral and third ventricles.",
        "Units": "ml",
    },
    "lesion_ml": {"Description": "True volume of the stroke lesion.", "Units": "ml"},
}


@dataclass(frozen=True)
class Truth:
    """What is true of one session; the field names are the tables' column names but for age."""

    age_years: float
    brain_ml: float
    gm_ml: float
    wm_ml: float
    csf_ml: float
    ventricle_ml: float
    lesion_ml: float


_TRUE_VOLUMES = [field.name for field in fields(Truth)][1:]


def write_tables(folder: Path, people: Sequence[Person], truths: Sequence[Sequence[Truth]]) -> None:
    """Write every table of the cohort; participants.tsv comes last and says it is complete."""
    write_json(
        folder / "dataset_description.json",
        {
            "Name": "neurofm phantom cohort",
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "License": "CC0",
            "GeneratedBy": [{"Name": "neurofm", "Version": package_version("neurofm") or "0"}],
        },
    )
    write_text(folder / "README", _README)
    write_json(folder / "participants.json", _COLUMNS)
    for person, sessions in zip(people, truths, strict=True):
        if len(sessions) > 1:
            _write_sessions(folder, person, sessions)
    rows = [
        _person_cells(person) + _volume_cells(sessions[0])
        for person, sessions in zip(people, truths, strict=True)
    ]
    header = ["participant_id", "age", "sex", "site", "diagnosis", "nihss", *_TRUE_VOLUMES]
    _write_tsv(folder / "participants.tsv", [header, *rows])


def _write_sessions(folder: Path, person: Person, sessions: Sequence[Truth]) -> None:
    subject = f"sub-{person.label}"
    rows = [
        [f"ses-{number}", str(truth.age_years), *_volume_cells(truth)]
        for number, truth in enumerate(sessions, start=1)
    ]
    header = ["session_id", "age", *_TRUE_VOLUMES]
    _write_tsv(folder / subject / f"{subject}_sessions.tsv", [header, *rows])


def _person_cells(person: Person) -> list[str]:
    return [
        f"sub-{person.label}",
        str(person.ages_years[0]),
        person.sex,
        SITES[person.site].name,
        person.diagnosis,
        "n/a" if person.nihss is None else str(person.nihss),
    ]


def _volume_cells(truth: Truth) -> list[str]:
    return [str(value) for value in astuple(truth)[1:]]


def _write_tsv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    write_text(path, "".join("\t".join(row) + "\n" for row in rows))
