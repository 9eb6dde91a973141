"""From saved predictions to the tables: values, intervals, comparisons, warnings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import SITE_TASK
from neurofm.evaluation.age_bias import corrected_scores
from neurofm.evaluation.baselines import PRETRAINED, SITE
from neurofm.evaluation.calibration import calibration_curve
from neurofm.evaluation.delong import delong_test
from neurofm.evaluation.metrics import scored_classes
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.scoring import Sample, Score, outcomes, sample_of, score_all
from neurofm.evaluation.uncertainty import Comparison, compare, holm

__all__ = ["Tables", "compare_scores", "outcomes", "tabulate"]

_FEW_POSITIVES = 30

Scored = Mapping[str, Sequence[Score]]


@dataclass(frozen=True, eq=False)
class Tables:
    """The results of an evaluation.

    Attributes:
        results: a row for each task, model and metric.
        comparisons: one model against each other by the headline metric.
        calibration: the curves of all models of tasks with classes, a row a bin.
        warnings: what a reader must know before the numbers, in plain words.
    """

    results: pd.DataFrame
    comparisons: pd.DataFrame
    calibration: pd.DataFrame
    warnings: tuple[str, ...]


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
    curves: list[pd.DataFrame] = []
    warnings: list[str] = []
    for task in tasks:
        rows = predictions[predictions["task"] == task.task]
        if rows.empty:
            continue
        samples = {
            str(model): sample_of(of_model, task.kind)
            for model, of_model in rows.groupby("model", sort=False)
        }
        scored = {model: score_all(sample, task, config, seed) for model, sample in samples.items()}
        if config.age_bias_correction and _has_corrected(rows):
            for model, sample in samples.items():
                scored[model] += corrected_scores(sample, task, config, seed)
        smallest = next(iter(samples.values())).smallest
        for model, scores in scored.items():
            results += [_result(task, model, score) for score in scores]
        comparisons += _compare_all(task, scored, config, ours, smallest)
        if task.kind != "regression":
            curves += _curves(task, samples, config)
        warnings += _warnings(task, scored, config, ours)
    if comparisons:
        for row, p in zip(
            comparisons, holm([_float(row["p"]) for row in comparisons]), strict=True
        ):
            row["p_holm"] = p
    return Tables(
        pd.DataFrame(results),
        pd.DataFrame(comparisons),
        pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(),
        tuple(warnings),
    )


def _has_corrected(of_task: pd.DataFrame) -> bool:
    return "corrected" in of_task and bool(of_task["corrected"].notna().any())


def _curves(
    task: TaskRecord, samples: Mapping[str, Sample], config: EvaluationConfig
) -> list[pd.DataFrame]:
    """Of the positive class of two, else of each class against the rest."""
    return [
        calibration_curve(sample.repeats, sample.people, config.confidence, label).assign(
            task=task.task, model=model, label=task.classes[label]
        )
        for model, sample in samples.items()
        for label in scored_classes(sample.repeats[0])
    ]


def _result(task: TaskRecord, model: str, score: Score) -> dict[str, object]:
    repeats = len(score.repeats)
    return {
        "task": task.task,
        "kind": task.kind,
        "model": model,
        "metric": score.name,
        "better": score.better,
        "value": score.value,
        "seeds_sd": float(score.repeats.std(ddof=1)) if repeats > 1 else float("nan"),
        "low": score.interval.low,
        "high": score.interval.high,
        "interval": score.method,
        "bootstrap_low": score.bootstrap.low,
        "bootstrap_high": score.bootstrap.high,
        "seeds": repeats,
        "participants": task.participants,
        "positives": task.positives,
        "note": score.note,
    }


def _compare_all(
    task: TaskRecord, scored: Scored, config: EvaluationConfig, ours: str, smallest: int
) -> list[dict[str, object]]:
    if ours not in scored:
        return []
    own = scored[ours][0]
    rows = []
    for model, (theirs, *_) in scored.items():
        if model == ours:
            continue
        found, test, drawn = compare_scores(own, theirs, config, smallest)
        rows.append(
            {
                "task": task.task,
                "metric": own.name,
                "model": ours,
                "against": model,
                "gain": found.gain,
                "low": found.interval.low,
                "high": found.interval.high,
                "p": found.p,
                "test": test,
                "bootstrap_low": drawn.interval.low,
                "bootstrap_high": drawn.interval.high,
                "bootstrap_p": drawn.p,
                "participants": task.participants,
            }
        )
    return rows


def compare_scores(
    own: Score, theirs: Score, config: EvaluationConfig, smallest: int
) -> tuple[Comparison, str, Comparison]:
    """The paired comparison that is shown, its method, and the bootstrap's.

    DeLong's is shown of AUCs, where it has an answer; else the bootstrap's.

    Args:
        own: the first metric of one model.
        theirs: of another one, on the same resamples.
        config: resamples and confidence.
        smallest: participants of the smallest class.
    """
    drawn = _by_bootstrap(own, theirs, config, smallest)
    if own.parts and theirs.parts:
        by_delong = delong_test(own.parts, theirs.parts, config.confidence)
        if not math.isnan(by_delong.p):
            return by_delong, "DeLong", drawn
    return drawn, "bootstrap", drawn


def _by_bootstrap(own: Score, theirs: Score, config: EvaluationConfig, smallest: int) -> Comparison:
    sign = -1.0 if own.better == "lower" else 1.0
    gains = sign * (own.resamples - theirs.resamples)
    return compare(sign * (own.value - theirs.value), gains, config.confidence, smallest)


def _warnings(task: TaskRecord, scored: Scored, config: EvaluationConfig, ours: str) -> list[str]:
    found = []
    own = scored[ours][0] if ours in scored else None
    if own and task.positives is not None and task.positives < _FEW_POSITIVES:
        found.append(
            f"{task.task}: only {task.positives} positive participants; the "
            f"{config.confidence:.0%} interval of the {own.name} is {own.interval.width:.2f} wide."
        )
    if own and task.task != SITE_TASK and SITE in scored:
        site = scored[SITE][0]
        sign = -1.0 if own.better == "lower" else 1.0
        model = f"the {ours}" if ours == PRETRAINED else f"'{ours}'"
        if sign * site.value >= sign * own.value:
            found.append(
                f"{task.task}: the site alone predicts it as well as {model} "
                f"({own.name} {site.value:.3g} against {own.value:.3g}): this task cannot "
                "tell the brain from the scanner here."
            )
    return found


def _float(value: object) -> float:
    assert isinstance(value, float)
    return value
