"""The scores of one model in one task: each metric's value, its resamples and its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import Kind
from neurofm.evaluation.calibration import (
    UNKNOWN,
    Line,
    calibration_error,
    calibration_line,
)
from neurofm.evaluation.delong import AreaParts, area_parts, delong_interval
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.jackknife import jackknife_interval
from neurofm.evaluation.metrics import METRICS, Metric, Outcome, bias_slope
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.shares import is_share, share_interval
from neurofm.evaluation.uncertainty import (
    Interval,
    bootstrap,
    percentile_interval,
    resample_weights,
)
from neurofm.seeds import random_stream

Better = Literal["lower", "higher", "near 0", "near 1", "none"]
Method = Literal["bootstrap", "jackknife", "DeLong", "Wilson", "sandwich", "none"]

_NO_THRESHOLD = "no threshold: one class only, or the same is said of everybody, where it is chosen"
_WHY_NONE = {
    "r": "the same is predicted for everybody",
    "sensitivity": _NO_THRESHOLD,
    "specificity": _NO_THRESHOLD,
}


@dataclass(frozen=True, eq=False)
class Sample:
    """The predictions of one model and whom they are about.

    Attributes:
        repeats: of the model, the same scans in each.
        people: a number for each scan's participant, 0, 1, 2...
        strata: within which participants are resampled: the class; 0 for regression.
    """

    repeats: list[Outcome]
    people: Int[np.ndarray, " scans"]
    strata: Int[np.ndarray, " scans"]

    @property
    def smallest(self) -> int:
        """Participants of the smallest class, or all of a regression."""
        return min(self.people_of(each) for each in np.unique(self.strata))

    def people_of(self, stratum: int) -> int:
        """Participants with a scan in a stratum."""
        return len(np.unique(self.people[self.strata == stratum]))


@dataclass(frozen=True, eq=False)
class Score:
    """One metric of one model.

    Attributes:
        name: of the metric.
        better: which way; "none" of what is no merit.
        repeats: its value in each repeat.
        resamples: its value in each bootstrap resample, the mean over repeats.
        interval: the one to show, by `method`.
        method: DeLong's for the AUC of two classes, Wilson's for shares, the sandwich variance for
            the calibration line, none for the calibration error, the jackknife for all others; the
            bootstrap where the jackknife has no answer.
        bootstrap: the interval of the resamples, where there are any.
        parts: of the AUC of two classes.
        note: what a reader of the value must know.
    """

    name: str
    better: Better
    repeats: Float[np.ndarray, " repeats"]
    resamples: Float[np.ndarray, " resamples"]
    interval: Interval
    method: Method
    bootstrap: Interval
    parts: AreaParts | None
    note: str

    @property
    def value(self) -> float:
        """The mean over repeats."""
        return float(self.repeats.mean())


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
                _if_there(ordered, "threshold"),
                _if_there(ordered, "corrected"),
            )
        )
    return repeats


def _if_there(ordered: pd.DataFrame, name: str) -> Float[np.ndarray, " scans"] | None:
    """A column that predictions of earlier versions lack."""
    return ordered[name].to_numpy(dtype=np.float64) if name in ordered else None


def sample_of(of_model: pd.DataFrame, kind: Kind) -> Sample:
    """The saved predictions of one model in one task.

    Args:
        of_model: its rows of `predictions.parquet`.
        kind: of the task.
    """
    repeats = outcomes(of_model)
    one = of_model[of_model["seed"] == of_model["seed"].min()].sort_values("scan_id")
    people = np.unique(one["participant"].to_numpy(dtype=str), return_inverse=True)[1]
    target = repeats[0].target
    strata = np.zeros(len(target), np.int64) if kind == "regression" else target.astype(np.int64)
    return Sample(repeats, people, strata)


def score_all(
    sample: Sample, task: TaskRecord, config: EvaluationConfig, seed: int
) -> tuple[Score, ...]:
    """Every metric of the task's kind, the headline first, then calibration or the bias slope.

    Args:
        sample: of one model.
        task: its record.
        config: resamples and confidence.
        seed: the recipe's; with the task it decides the resamples, the same for all models.
    """
    scores = [score(sample, metric, task, config, seed) for metric in METRICS[task.kind]]
    if task.kind == "binary":
        scores += calibration_scores(sample, config)
    if task.kind != "regression":
        scores.append(_calibration_error(sample))
    if task.kind == "regression":
        slope = score(sample, Metric("bias slope", "lower", bias_slope), task, config, seed)
        scores.append(replace(slope, better="near 0"))
    return tuple(scores)


def score(
    sample: Sample, metric: Metric, task: TaskRecord, config: EvaluationConfig, seed: int
) -> Score:
    """One metric of one model; see `score_all`."""
    once = participant_weights(sample.people)[None, :]
    values = np.concatenate([metric.compute(outcome, once) for outcome in sample.repeats])
    draws = resample_weights(
        sample.people, sample.strata, config.bootstrap_samples,
        random_stream("bootstrap", seed, task.task),
    )  # fmt: skip
    resamples = bootstrap(partial(_mean_over, metric, sample.repeats), draws)
    own = percentile_interval(resamples, config.confidence, sample.smallest)
    is_area = metric.name == "AUC" and task.kind == "binary"
    parts = area_parts(sample.repeats, sample.people) if is_area else None
    interval, method = _interval(sample, metric, parts, config.confidence)
    if math.isnan(interval.low):
        interval, method = own, "bootstrap"
    return Score(
        name=metric.name,
        better=metric.better,
        repeats=values,
        resamples=resamples,
        interval=interval,
        method=method,
        bootstrap=own,
        parts=parts,
        note=_note(metric.name, values, task),
    )


def calibration_scores(sample: Sample, config: EvaluationConfig) -> list[Score]:
    """Intercept and slope of the calibration line of two classes."""
    intercept, slope = calibration_line(sample.repeats, sample.people, config.confidence)
    return [
        _of_line("calibration intercept", "near 0", intercept, "sandwich"),
        _of_line("calibration slope", "near 1", slope, "sandwich"),
    ]


def _interval(
    sample: Sample, metric: Metric, parts: AreaParts | None, confidence: float
) -> tuple[Interval, Method]:
    """The interval to show, by the method that holds the truth as often as it says."""
    if parts:
        return delong_interval(parts, confidence), "DeLong"
    if is_share(metric.name):
        return share_interval(metric.name, sample.repeats, sample.people, confidence), "Wilson"
    statistic = partial(_mean_over, metric, sample.repeats)
    found = jackknife_interval(statistic, sample.people, sample.strata, metric.scale, confidence)
    return found, "jackknife"


def _calibration_error(sample: Sample) -> Score:
    """Without an interval: resamples of an error are all larger than the error itself."""
    once = participant_weights(sample.people)[None, :]
    error = np.concatenate([calibration_error(each, once) for each in sample.repeats])
    return _of_line("calibration error", "lower", Line(error, UNKNOWN), "none")


def _of_line(name: str, better: Better, line: Line, method: Method) -> Score:
    return Score(
        name=name,
        better=better,
        repeats=line.repeats,
        resamples=np.empty(0),
        interval=line.interval,
        method=method,
        bootstrap=UNKNOWN,
        parts=None,
        note="not defined" if np.isnan(line.repeats).any() else "",
    )


def _mean_over(metric: Metric, repeats: list[Outcome], weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.mean([metric.compute(outcome, weights) for outcome in repeats], axis=0))


def _note(metric: str, values: np.ndarray, task: TaskRecord) -> str:
    if np.isnan(values.mean()):
        return _WHY_NONE.get(metric, "not defined")
    if metric == "average precision" and task.positives is not None:
        return f"prevalence {task.positives / task.participants:.3f}"
    if metric == "average precision":
        return f"by chance {1 / len(task.classes):.3f}"
    return ""
