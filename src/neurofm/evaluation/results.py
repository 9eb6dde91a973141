"""From saved predictions to the tables: values, intervals, comparisons, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import SITE_TASK, Kind
from neurofm.evaluation.baselines import PRETRAINED, SITE
from neurofm.evaluation.metrics import METRICS, Metric, Outcome
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.uncertainty import (
    bootstrap,
    compare,
    holm,
    percentile_interval,
    resample_weights,
)
from neurofm.seeds import random_stream

_FEW_POSITIVES = 30


@dataclass(frozen=True, eq=False)
class Tables:
    """The results of an evaluation.

    Attributes:
        results: a row for each task, model and metric.
        comparisons: one model against each other by the headline metric.
        warnings: what a reader must know before the numbers, in plain words.
    """

    results: pd.DataFrame
    comparisons: pd.DataFrame
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Scored:
    """One metric of one model: its value in each repeat and in each resample."""

    metric: Metric
    repeats: np.ndarray
    resamples: np.ndarray

    @property
    def value(self) -> float:
        return float(self.repeats.mean())


def tabulate(
    predictions: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    config: EvaluationConfig,
    seed: int,
    ours: str = PRETRAINED,
) -> Tables:
    """Results, comparisons and warnings of saved predictions.

    Args:
        predictions: the table of `predictions.parquet`.
        tasks: the tasks in it.
        config: resamples and confidence.
        seed: the recipe's seed; with the task it decides the resamples, the same for all models.
        ours: the model that the others are compared with.
    """
    results: list[dict[str, object]] = []
    comparisons: list[dict[str, object]] = []
    warnings: list[str] = []
    for task in tasks:
        rows = predictions[predictions["task"] == task.task]
        if rows.empty:
            continue
        scored = {
            str(model): _score(of_model, task, config, seed)
            for model, of_model in rows.groupby("model", sort=False)
        }
        for model, scores in scored.items():
            results += [_result(task, model, score, config) for score in scores]
        comparisons += _compare_all(task, scored, config, ours)
        warnings += _warnings(task, scored, config, ours)
    if comparisons:
        for row, p in zip(
            comparisons, holm([_float(row["p"]) for row in comparisons]), strict=True
        ):
            row["p_holm"] = p
    return Tables(pd.DataFrame(results), pd.DataFrame(comparisons), tuple(warnings))


def outcomes(of_model: pd.DataFrame) -> list[Outcome]:
    """The repeats of one model in one task, their scans in the same order."""
    repeats = []
    for _, rows in of_model.groupby("seed", sort=True):
        ordered = rows.sort_values("scan_id")
        repeats.append(
            Outcome(
                ordered["target"].to_numpy(dtype=np.float64),
                ordered["prediction"].to_numpy(dtype=np.float64),
                np.stack(ordered["probabilities"].to_list()).astype(np.float64),
                ordered["fold"].to_numpy(dtype=np.int64),
            )
        )
    return repeats


def _score(
    of_model: pd.DataFrame, task: TaskRecord, config: EvaluationConfig, seed: int
) -> list[_Scored]:
    repeats = outcomes(of_model)
    one = of_model[of_model["seed"] == of_model["seed"].min()].sort_values("scan_id")
    people = np.unique(one["participant"].to_numpy(dtype=str), return_inverse=True)[1]
    weights = 1.0 / np.bincount(people)[people][None, :]
    strata = _strata(task.kind, repeats[0].target)
    scored = []
    for metric in METRICS[task.kind]:
        values = np.concatenate([metric.compute(outcome, weights) for outcome in repeats])
        draws = resample_weights(
            people, strata, config.bootstrap_samples, random_stream("bootstrap", seed, task.task)
        )
        resampled = bootstrap(partial(_mean_over, metric, repeats), draws)
        scored.append(_Scored(metric, values, resampled))
    return scored


def _mean_over(metric: Metric, repeats: list[Outcome], weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.mean([metric.compute(outcome, weights) for outcome in repeats], axis=0))


def _strata(kind: Kind, target: np.ndarray) -> np.ndarray:
    return np.zeros(len(target), np.int64) if kind == "regression" else target.astype(np.int64)


def _result(
    task: TaskRecord, model: str, score: _Scored, config: EvaluationConfig
) -> dict[str, object]:
    interval = percentile_interval(score.resamples, config.confidence)
    repeats = len(score.repeats)
    return {
        "task": task.task,
        "kind": task.kind,
        "model": model,
        "metric": score.metric.name,
        "better": score.metric.better,
        "value": score.value,
        "seeds_sd": float(score.repeats.std(ddof=1)) if repeats > 1 else float("nan"),
        "low": interval.low,
        "high": interval.high,
        "seeds": repeats,
        "participants": task.participants,
        "positives": task.positives,
        "note": _note(task, score),
    }


def _note(task: TaskRecord, score: _Scored) -> str:
    if np.isnan(score.value):
        return "the same is predicted for everybody" if score.metric.name == "r" else "not defined"
    if score.metric.name == "average precision" and task.positives is not None:
        return f"prevalence {task.positives / task.participants:.3f}"
    return ""


def _compare_all(
    task: TaskRecord, scored: dict[str, list[_Scored]], config: EvaluationConfig, ours: str
) -> list[dict[str, object]]:
    if ours not in scored:
        return []
    own = scored[ours][0]
    sign = -1.0 if own.metric.better == "lower" else 1.0
    rows = []
    for model, (theirs, *_) in scored.items():
        if model == ours:
            continue
        found = compare(
            sign * (own.value - theirs.value),
            sign * (own.resamples - theirs.resamples),
            config.confidence,
        )
        rows.append(
            {
                "task": task.task,
                "metric": own.metric.name,
                "model": ours,
                "against": model,
                "gain": found.gain,
                "low": found.interval.low,
                "high": found.interval.high,
                "p": found.p,
                "participants": task.participants,
            }
        )
    return rows


def _warnings(
    task: TaskRecord, scored: dict[str, list[_Scored]], config: EvaluationConfig, ours: str
) -> list[str]:
    found = []
    own = scored[ours][0] if ours in scored else None
    if own and task.positives is not None and task.positives < _FEW_POSITIVES:
        width = percentile_interval(own.resamples, config.confidence).width
        found.append(
            f"{task.task}: only {task.positives} positive participants; the "
            f"{config.confidence:.0%} interval of the {own.metric.name} is {width:.2f} wide."
        )
    if own and task.task != SITE_TASK and SITE in scored:
        site = scored[SITE][0]
        sign = -1.0 if own.metric.better == "lower" else 1.0
        model = f"the {ours}" if ours == PRETRAINED else f"'{ours}'"
        if sign * site.value >= sign * own.value:
            found.append(
                f"{task.task}: the site alone predicts it as well as {model} "
                f"({own.metric.name} {site.value:.3g} against {own.value:.3g}): this task cannot "
                "tell the brain from the scanner here."
            )
    return found


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value
