"""Tasks x models x repeats: the out-of-fold predictions everything else is computed from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from neurofm.cohorts.sides import HELD_OUT, TEST
from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import SITE_TASK, Target, build_target, site_labels
from neurofm.errors import RunError
from neurofm.evaluation.baselines import Model, baselines
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.probe import cross_validate
from neurofm.evaluation.record import TaskRecord
from neurofm.progress import Progress, SilentProgress

_AGE = "age_years"
_HELD_OUT = (HELD_OUT, TEST)


def probe_tasks(
    frame: pd.DataFrame,
    encoders: Sequence[Model],
    config: EvaluationConfig,
    seed: int,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, tuple[TaskRecord, ...]]:
    """Out-of-fold predictions of every task by every encoder and baseline.

    Args:
        frame: index rows of the evaluated scans.
        encoders: features by encoder, rows as in `frame`.
        config: targets, folds and repeats.
        seed: the recipe's seed.
        progress: advanced by one for each task, model and repeat.

    Raises:
        RunError: no target has anything to predict.
    """
    progress = progress or SilentProgress()
    tasks = targets_of(frame, config)
    work = [
        (target, model)
        for target in tasks
        if not why_not_evaluated(target, config.folds)
        for model in [*encoders, *baselines(frame, target.task)]
    ]
    if not work:
        raise RunError(
            f"none of {', '.join(config.targets)} has labels enough to be evaluated",
            "name other index columns: evaluation.targets=[...]",
        )
    tables = []
    repeats = [repeats_of(model, config) for _, model in work]
    progress.start("Probing", sum(repeats), "probes")
    for (target, model), count in zip(work, repeats, strict=True):
        for repeat in range(count):
            features = model.features(repeat)[target.rows]
            assert model.reader != "paper"  # it needs a validation part, as the config says
            outcome = cross_validate(features, target, config.folds, seed, repeat, model.reader)
            tables.append(predictions_table(frame, target, model.name, repeat, outcome))
            progress.advance(note=f"{target.task}: {model.name}")
    progress.finish()
    return pd.concat(tables, ignore_index=True), tuple(
        _task_record(target, config.folds) for target in tasks
    )


def targets_of(frame: pd.DataFrame, config: EvaluationConfig) -> list[Target]:
    """The targets of an evaluation by folds, those without results as well."""
    return [build_target(frame, name, config.folds) for name in task_names(frame, config.targets)]


def is_held_out(index: pd.DataFrame) -> pd.Series[Any]:
    """Rows that an evaluation by folds reads; where there are none, it reads all."""
    if "split" not in index:
        return pd.Series(False, index=index.index)
    return index["split"].isin(_HELD_OUT)


def task_names(frame: pd.DataFrame, targets: Sequence[str]) -> list[str]:
    """The targets, and the site wherever there is more than one."""
    sites = [SITE_TASK] if site_labels(frame).nunique() > 1 else []
    return list(dict.fromkeys([*targets, *sites]))


def why_not_evaluated(target: Target, folds: int) -> str:
    """Why a task has no results, in plain words; empty where it has."""
    if target.num_participants < 2 * folds:
        return (
            f"not evaluated: {target.num_participants} participants are too few for {folds} folds"
        )
    if target.kind != "regression" and len(target.classes) < 2:
        return "not evaluated: all labels are the same"
    return ""


def repeats_of(model: Model, config: EvaluationConfig) -> int:
    """As many as asked for, or a few more, so that each of a model's encoders counts alike."""
    return math.ceil(config.seeds / len(model.repeats)) * len(model.repeats)


def _task_record(target: Target, folds: int) -> TaskRecord:
    unusable = why_not_evaluated(target, folds)
    return TaskRecord(
        task=target.task,
        kind=target.kind,
        classes=target.classes,
        scans=len(target.rows),
        participants=target.num_participants,
        positives=target.positives,
        notes=target.notes + ((unusable,) if unusable else ()),
    )


def predictions_table(
    frame: pd.DataFrame, target: Target, model: str, repeat: int, outcome: Outcome
) -> pd.DataFrame:
    """Rows of `predictions.parquet`: one repeat of one model, the target's scans in order.

    `fraction` is the share of the training part that was learnt from: all, unless a caller knows
    of less.
    """
    return pd.DataFrame(
        {
            "participant": list(target.keys),
            "scan_id": frame["scan_id"].iloc[target.rows].to_numpy(),
            "task": target.task,
            "model": model,
            "seed": repeat,
            "fraction": 1.0,
            "fold": outcome.folds,
            "target": outcome.target,
            "prediction": outcome.prediction,
            "probabilities": list(outcome.probabilities),
            "threshold": np.nan if outcome.thresholds is None else outcome.thresholds,
            "corrected": outcome.corrected
            if target.task == _AGE and outcome.corrected is not None
            else np.nan,
        }
    )
