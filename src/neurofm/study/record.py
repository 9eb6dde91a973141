"""What a study's folder says of itself beside its tables: `study.json`, the last thing written."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from neurofm.config.study import StudyConfig
from neurofm.errors import RunError
from neurofm.evaluation.record import TaskRecord
from neurofm.files import read_json, write_json
from neurofm.models.weights_record import WeightsRecord

STUDY, PREDICTIONS, RESULTS = "study.json", "predictions.parquet", "results.parquet"
COMPARISONS, CALIBRATION = "comparisons.parquet", "calibration.parquet"
SCANS, SUBGROUPS = "scans.parquet", "subgroups.parquet"
LEFT_OUT = "left_out_sites.parquet"
PARTS = "parts.parquet"
FAILURES = "failures.csv"


class StudyRecord(BaseModel):
    """Everything about a study that is no table; it names no participant and no path.

    `tasks` are the study's, in its order, then the site where the study does not ask for it.
    `scored_by` is a fingerprint of what has predicted the test people of each task,
    `parts_fingerprint` one of who trains, validates and tests; empty of an earlier version's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    study: StudyConfig
    tasks: tuple[TaskRecord, ...]
    encoders: tuple[WeightsRecord, ...]
    contract_fingerprint: str
    data_fingerprint: str
    spacing_mm: float
    scans_by_cohort: dict[str, int]
    participants_by_cohort: dict[str, int]
    cells: int
    failed: tuple[str, ...]
    seconds_of_cells: float
    warnings: tuple[str, ...]
    software: dict[str, str]
    preprocessing: tuple[str, ...] = ()
    scored_by: dict[str, str] = {}
    parts_fingerprint: str = ""

    @property
    def asked(self) -> tuple[TaskRecord, ...]:
        """The tasks that the study asks for, in its order."""
        return self.tasks[: len(self.study.tasks)]

    @property
    def site(self) -> TaskRecord | None:
        """The site as a task that the study does not ask for; None where it was not evaluated."""
        return next(iter(self.tasks[len(self.study.tasks) :]), None)


def embeddings_file(encoder: str) -> str:
    """Name of the embeddings of one of the study's encoders."""
    return f"embeddings-{encoder}.parquet"


def encoder_probe(encoder: str) -> str:
    """Name of the row in which one of the study's encoders is probed for what sites do to it."""
    return f"linear probe of {encoder}"


def write_study(folder: Path, record: StudyRecord) -> None:
    """Write `study.json`; a folder that has it is complete."""
    write_json(folder / STUDY, record.model_dump(mode="json"))


def read_study(folder: Path) -> StudyRecord:
    """Read `study.json`.

    Raises:
        RunError: the folder is no finished study, or another version's.
    """
    path = folder / STUDY
    if not path.is_file():
        raise RunError("is no finished study", "run it with: neurofm evaluate STUDY", folder)
    try:
        return StudyRecord.model_validate(read_json(path))
    except (ValidationError, ValueError):
        raise RunError(
            "was written by another version of neurofm", "evaluate again: finished cells stay", path
        ) from None
