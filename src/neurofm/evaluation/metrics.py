"""Metrics under weights: the same formula gives the value and every bootstrap resample of it.

A resample of participants is nothing but whole-number weights, so each metric takes a matrix
"resamples scans" of weights and returns one value a resample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from neurofm.data.targets import Kind
from neurofm.evaluation.jackknife import Scale

Weights = Float[np.ndarray, "resamples scans"]
Values = Float[np.ndarray, " resamples"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Out-of-fold predictions of one model in one repeat.

    Attributes:
        target: the number, or the class as 0, 1, 2...
        prediction: the predicted number or class.
        probabilities: of each class; no columns for regression.
        folds: the fold each scan was predicted in.
        thresholds: from which probability on a scan is called positive, chosen where the model
            was; NaN where none could be, None where nobody tried.
        corrected: of a number, the prediction without the bias shown where the model was chosen
            (`bias_line.py`); None where nobody tried.
    """

    target: Float[np.ndarray, " scans"]
    prediction: Float[np.ndarray, " scans"]
    probabilities: Float[np.ndarray, "scans classes"]
    folds: Int[np.ndarray, " scans"]
    thresholds: Float[np.ndarray, " scans"] | None = None
    corrected: Float[np.ndarray, " scans"] | None = None


@dataclass(frozen=True)
class Metric:
    """A named figure of merit.

    Attributes:
        name: as tables show it.
        better: which way.
        compute: it under each row of weights.
        scale: where it varies about as much, whatever its value.
    """

    name: str
    better: Literal["lower", "higher"]
    compute: Callable[[Outcome, Weights], Values]
    scale: Scale = "as it is"


def mean_absolute_error(outcome: Outcome, weights: Weights) -> Values:
    """Mean absolute error, in the target's unit."""
    return _mean(np.abs(outcome.prediction - outcome.target), weights)


def root_mean_squared_error(outcome: Outcome, weights: Weights) -> Values:
    """Root of the mean squared error, in the target's unit."""
    return np.asarray(np.sqrt(_mean((outcome.prediction - outcome.target) ** 2, weights)))


def correlation(outcome: Outcome, weights: Weights) -> Values:
    """Pearson's r of target and prediction; NaN where a model predicts a constant in each fold."""
    if _constant_in_folds(outcome.prediction, outcome.folds):
        return np.full(len(weights), np.nan)
    x, y = outcome.prediction - outcome.prediction.mean(), outcome.target - outcome.target.mean()
    mean_x, mean_y = _mean(x, weights), _mean(y, weights)
    covariance = _mean(x * y, weights) - mean_x * mean_y
    variance = (_mean(x * x, weights) - mean_x**2) * (_mean(y * y, weights) - mean_y**2)
    return _ratio(covariance, np.sqrt(np.clip(variance, 0, None)))


def explained_variance(outcome: Outcome, weights: Weights) -> Values:
    """R2: one less the squared error over the target's variance; below 0 is worse than the mean."""
    y = outcome.target - outcome.target.mean()
    variance = _mean(y * y, weights) - _mean(y, weights) ** 2
    return 1 - _ratio(_mean((outcome.prediction - outcome.target) ** 2, weights), variance)


def bias_slope(outcome: Outcome, weights: Weights) -> Values:
    """Slope of (prediction - target) over the target: below 0 where high values are guessed low.

    That is so of every imperfect model, age estimates foremost: Le et al. 2018, Front Aging
    Neurosci 10:317. The mean predicted for everybody has -1.
    """
    y = outcome.target - outcome.target.mean()
    wrong = outcome.prediction - outcome.target
    variance = _mean(y * y, weights) - _mean(y, weights) ** 2
    covariance = _mean(wrong * y, weights) - _mean(wrong, weights) * _mean(y, weights)
    return _ratio(covariance, variance)


def area_under_curve(outcome: Outcome, weights: Weights) -> Values:
    """Chance that a positive scan scores above a negative one of the same fold; ties count half.

    Only pairs of one fold are compared, because their scores come from one fitted model: pooling
    folds would put a model without any signal below 0.5. More than two classes: the mean over
    classes of each one against the rest.
    """
    areas = [
        _pairs_won(outcome.target == label, outcome.probabilities[:, label], outcome.folds, weights)
        for label in scored_classes(outcome)
    ]
    return np.asarray(np.mean(areas, axis=0))


def average_precision(outcome: Outcome, weights: Weights) -> Values:
    """Area under the precision-recall steps, over all folds together.

    A model that says the same to everybody gets the prevalence. More than two classes: the mean
    over classes of each one against the rest, by chance one over their number.
    """
    found = [
        _precision_area(
            outcome.target == label, outcome.probabilities[:, label], outcome.folds, weights
        )
        for label in scored_classes(outcome)
    ]
    return np.asarray(np.mean(found, axis=0))


def balanced_accuracy(outcome: Outcome, weights: Weights) -> Values:
    """Mean over classes of the share found; decisions take the training part's class sizes out."""
    right = decided_right(outcome)
    shares = [
        _share_of(outcome.target == label, right, weights) for label in np.unique(outcome.target)
    ]
    return np.asarray(np.mean(shares, axis=0))


def accuracy(outcome: Outcome, weights: Weights) -> Values:
    """Share of scans whose most probable class is the right one."""
    return _mean(ranked_right(outcome), weights)


def sensitivity(outcome: Outcome, weights: Weights) -> Values:
    """Share of positive scans that are called positive; NaN without a threshold."""
    return _share_of(outcome.target == 1, called_right(outcome), weights)


def specificity(outcome: Outcome, weights: Weights) -> Values:
    """Share of negative scans that are not called positive; NaN without a threshold."""
    return _share_of(outcome.target != 1, called_right(outcome), weights)


def scored_classes(outcome: Outcome) -> Sequence[int]:
    """Those told apart from the rest: the second of two, or all."""
    classes = range(outcome.probabilities.shape[1])
    return classes if len(classes) > 2 else (1,)


def decided_right(outcome: Outcome) -> Float[np.ndarray, " scans"]:
    """1 where the predicted class is the right one."""
    return np.asarray(outcome.prediction == outcome.target, dtype=np.float64)


def ranked_right(outcome: Outcome) -> Float[np.ndarray, " scans"]:
    """1 where the most probable class is the right one."""
    return np.asarray(outcome.probabilities.argmax(axis=1) == outcome.target, dtype=np.float64)


def called_right(outcome: Outcome) -> Float[np.ndarray, " scans"]:
    """1 where a scan is called positive, from its threshold on, and is, or neither."""
    if outcome.thresholds is None or np.isnan(outcome.thresholds).any():
        return np.full(len(outcome.target), np.nan)
    called = outcome.probabilities[:, 1] >= outcome.thresholds
    return np.asarray(called == (outcome.target == 1), dtype=np.float64)


def brier_score(outcome: Outcome, weights: Weights) -> Values:
    """Mean squared error of the probabilities; over all classes where there are more than two."""
    truth = outcome.target[:, None] == np.arange(outcome.probabilities.shape[1])
    squares = ((outcome.probabilities - truth) ** 2).sum(axis=1)
    return _mean(squares / 2 if truth.shape[1] == 2 else squares, weights)


# The first of each kind is the headline: models are compared by it.
METRICS: dict[Kind, tuple[Metric, ...]] = {
    "regression": (
        Metric("MAE", "lower", mean_absolute_error, "log"),
        Metric("RMSE", "lower", root_mean_squared_error, "log"),
        Metric("r", "higher", correlation, "Fisher's z"),
        Metric("R2", "higher", explained_variance, "log of the rest"),
    ),
    "binary": (
        Metric("AUC", "higher", area_under_curve, "log odds"),
        Metric("balanced accuracy", "higher", balanced_accuracy),
        Metric("average precision", "higher", average_precision, "log odds"),
        Metric("Brier score", "lower", brier_score, "log"),
        Metric("sensitivity", "higher", sensitivity),
        Metric("specificity", "higher", specificity),
    ),
    "multiclass": (
        Metric("balanced accuracy", "higher", balanced_accuracy),
        Metric("accuracy", "higher", accuracy),
        Metric("AUC", "higher", area_under_curve, "log odds"),
        Metric("average precision", "higher", average_precision, "log odds"),
        Metric("Brier score", "lower", brier_score, "log"),
    ),
}


def _precision_area(
    positive: Bool[np.ndarray, " scans"],
    score: Float[np.ndarray, " scans"],
    folds: Int[np.ndarray, " scans"],
    weights: Weights,
) -> Values:
    if _constant_in_folds(score, folds):
        score = np.zeros_like(score)
    true, false = _tied_sums(positive, -score, weights)
    found, called = true.cumsum(axis=1), (true + false).cumsum(axis=1)
    precision = _ratio(found, called, empty=0.0)
    return _ratio((precision * true).sum(axis=1), true.sum(axis=1))


def _share_of(
    of_class: Bool[np.ndarray, " scans"], right: Float[np.ndarray, " scans"], weights: Weights
) -> Values:
    if np.isnan(right).any():
        return np.full(len(weights), np.nan)
    return _ratio(weights @ (right * of_class), weights @ of_class.astype(np.float64))


def _pairs_won(
    positive: Bool[np.ndarray, " scans"],
    score: Float[np.ndarray, " scans"],
    folds: Int[np.ndarray, " scans"],
    weights: Weights,
) -> Values:
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for fold in np.unique(folds):
        inside = folds == fold
        above, below = _tied_sums(positive[inside], score[inside], weights[:, inside])
        won += (above * (below.cumsum(axis=1) - below / 2)).sum(axis=1)
        pairs += above.sum(axis=1) * below.sum(axis=1)
    return _ratio(won, pairs)


def _tied_sums(
    positive: Bool[np.ndarray, " scans"], score: Float[np.ndarray, " scans"], weights: Weights
) -> tuple[Float[np.ndarray, "resamples ties"], Float[np.ndarray, "resamples ties"]]:
    """Weight of positives and of negatives at each different score, lowest score first."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    ordered, yes = weights[:, order], positive[order]
    return (
        np.add.reduceat(ordered * yes, starts, axis=1),
        np.add.reduceat(ordered * ~yes, starts, axis=1),
    )


def _mean(values: np.ndarray, weights: Weights) -> Values:
    return np.asarray(weights @ values.astype(np.float64) / weights.sum(axis=1))


def _ratio(over: np.ndarray, under: np.ndarray, empty: float = np.nan) -> np.ndarray:
    result = np.full(np.shape(over), empty)
    return np.asarray(np.divide(over, under, out=result, where=under > 0))


def _constant_in_folds(values: np.ndarray, folds: np.ndarray) -> bool:
    return all(np.ptp(values[folds == fold]) < 1e-12 for fold in np.unique(folds))
