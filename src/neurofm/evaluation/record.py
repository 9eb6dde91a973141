"""What an evaluation says of itself beside its tables: `evaluation.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from neurofm.config.recipe import Recipe
from neurofm.data.targets import Kind
from neurofm.errors import RunError
from neurofm.evaluation.baselines import PRETRAINED
from neurofm.files import read_json, write_json
from neurofm.models.weights_record import WeightsRecord

RECORD = "evaluation.json"
EMBEDDINGS = "embeddings.parquet"
PREDICTIONS = "predictions.parquet"
RESULTS = "results.parquet"
COMPARISONS = "comparisons.parquet"
CALIBRATION = "calibration.parquet"
SCANS = "scans.parquet"
LEFT_OUT = "left_out_sites.parquet"
SUBGROUPS = "subgroups.parquet"


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskRecord(_Fact):
    """One task: what was predicted, for how many, who was left out.

    With parts, `scans`, `participants` and `positives` are those of the test part. `scored` says
    how often these people have been scored, this time included; None where nobody counted.
    """

    task: str
    kind: Kind
    classes: tuple[str, ...]
    scans: int
    participants: int
    positives: int | None
    notes: tuple[str, ...]
    train_participants: int = 0
    validation_participants: int = 0
    scored: int | None = None


class EvaluationRecord(_Fact):
    """Everything about an evaluation that is no table; it names no participant and no path."""

    format_version: Literal[1] = 1
    recipe: Recipe
    recipe_fingerprint: str
    weights_sha256: str
    weights_recipe_fingerprint: str | None
    contract_fingerprint: str
    data_fingerprint: str
    spacing_mm: float
    features: int
    rows: Literal["held-out", "all", "test"]
    scans: int
    participants: int
    participants_by_cohort: dict[str, int]
    pretrain_overlap: int | None
    tasks: tuple[TaskRecord, ...]
    warnings: tuple[str, ...]
    software: dict[str, str]
    weights: tuple[WeightsRecord, ...] = ()
    preprocessing: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the given models; all others are compared with the first."""
        return tuple(dict.fromkeys(each.model for each in self.weights)) or (PRETRAINED,)

    def is_of(
        self, recipe: Recipe, weights: tuple[tuple[str, str], ...], data_fingerprint: str
    ) -> bool:
        """Whether these weights, scans and settings would give the same numbers again.

        Args:
            recipe: of the new evaluation.
            weights: model and SHA-256 of each set of weights.
            data_fingerprint: of the scans, their labels and parts.
        """
        own = tuple((each.model, each.weights_sha256) for each in self.weights)
        return (
            self.recipe.evaluation == recipe.evaluation
            and self.recipe.seed == recipe.seed
            and (own or ((PRETRAINED, self.weights_sha256),)) == weights
            and self.data_fingerprint == data_fingerprint
        )


def write_record(folder: Path, record: EvaluationRecord) -> None:
    """Write `evaluation.json`; it comes last, so a folder that has it is complete."""
    write_json(folder / RECORD, record.model_dump(mode="json"))


def read_record(folder: Path) -> EvaluationRecord:
    """Read `evaluation.json`.

    Raises:
        RunError: the folder is no finished evaluation, or was written by a newer version.
    """
    path = folder / RECORD
    if not path.is_file():
        raise RunError("is no finished evaluation", "make one with: neurofm evaluate", folder)
    try:
        return EvaluationRecord.model_validate(read_json(path))
    except (ValidationError, ValueError):
        raise RunError(
            "was written by another version of neurofm", "evaluate again into a new folder", path
        ) from None
