"""Whether probabilities are as often right as they say: the curve, its line and its error.

The line is the logistic regression of the truth on the log odds of the prediction. Intercept
(with the slope held at 1): above 0 the positive class is more frequent than predicted. Slope: below
1 the predictions are too extreme. Source: Cox 1958 (Biometrika 45:562-565); Van Calster et al.
2019 (BMC Med 17:230) name and recommend both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.special import expit, logit
from scipy.stats import t as students_t

from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.metrics import Outcome, Values, Weights, scored_classes
from neurofm.evaluation.uncertainty import Interval, wilson_interval

_MOST_BINS = 10
_PEOPLE_A_BIN = 10
_CERTAIN = 1e-6  # probabilities closer to 0 or 1 are taken as this close
_STEPS = 50
_STEEPEST = 100.0  # a slope beyond has no end: the log odds tell the classes apart

UNKNOWN = Interval(math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Line:
    """One coefficient of the calibration line: its value in each repeat, and its interval."""

    repeats: Float[np.ndarray, " repeats"]
    interval: Interval


def calibration_line(
    repeats: Sequence[Outcome], people: Int[np.ndarray, " scans"], confidence: float
) -> tuple[Line, Line]:
    """Intercept and slope of the second of two classes.

    Intervals are from the sandwich variance over participants, what each of them moves being
    averaged over the repeats, with Student's t; the slope, which hangs on where positives lie, has
    as many degrees of freedom as the smaller class. Unknown where the fit has no end, as with
    predictions that are all the same or tell the classes apart without an error.

    Args:
        repeats: of one model, the same scans in each.
        people: a number for each scan's participant, 0, 1, 2...
        confidence: of the intervals.
    """
    found = [_fits(repeat, people) for repeat in repeats]
    positive = repeats[0].target == 1
    smaller = min(len(np.unique(people[of_class])) for of_class in (positive, ~positive))
    return (
        _line([intercept for intercept, _ in found], len(np.unique(people)), confidence),
        _line([slope for _, slope in found], smaller, confidence),
    )


def calibration_error(outcome: Outcome, weights: Weights) -> Values:
    """Mean distance of predicted and observed share over bins of equally many scans.

    Source: Naeini et al. 2015 (AAAI), with equally filled bins; the fewer the participants, the
    more of it is chance, for a perfect model too. More than two classes: the mean over classes of
    each one against the rest (Nixon et al. 2019, CVPR workshops; Kull et al. 2019, NeurIPS).
    """
    gaps = [_mean_gap(outcome, label, weights) for label in scored_classes(outcome)]
    return np.asarray(np.mean(gaps, axis=0))


def _mean_gap(outcome: Outcome, label: int, weights: Weights) -> Values:
    score = outcome.probabilities[:, label]
    member = _bins(score, len(score)) == np.arange(_MOST_BINS)[:, None]
    gap = weights * (score - (outcome.target == label))
    return np.asarray(np.abs(gap @ member.T).sum(axis=1) / weights.sum(axis=1))


def calibration_curve(
    repeats: Sequence[Outcome],
    people: Int[np.ndarray, " scans"],
    confidence: float,
    label: int = 1,
) -> pd.DataFrame:
    """The curve of one model, its repeats pooled: a row for each bin, from low to high.

    Args:
        repeats: of one model, the same scans in each.
        people: a number for each scan's participant, 0, 1, 2...
        confidence: of the intervals.
        label: the class whose probability it is, against all others.

    Returns:
        `bin`, `predicted` (mean probability), `observed` (share of the class, each participant
        weighing one), `low`, `high` (Wilson's interval of that share), `participants`.
    """
    score = np.concatenate([each.probabilities[:, label] for each in repeats])
    truth = np.concatenate([each.target == label for each in repeats])
    everyone = np.tile(people, len(repeats))
    weights = np.tile(participant_weights(people), len(repeats))
    place = _bins(score, len(np.unique(people)))
    rows = []
    for number in np.unique(place):
        inside = place == number
        share = weights[inside] / weights[inside].sum()
        observed, counted = float(share @ truth[inside]), len(np.unique(everyone[inside]))
        interval = wilson_interval(observed, counted, confidence)
        rows.append(
            {
                "bin": int(number),
                "predicted": float(share @ score[inside]),
                "observed": observed,
                "low": interval.low,
                "high": interval.high,
                "participants": counted,
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A coefficient and how far each participant moves it; None where the fit has no end."""

    value: float
    moved: Float[np.ndarray, " people"] | None


def _fits(outcome: Outcome, people: Int[np.ndarray, " scans"]) -> tuple[_Fit, _Fit]:
    odds = logit(np.clip(outcome.probabilities[:, 1], _CERTAIN, 1 - _CERTAIN))
    weights, truth = participant_weights(people), outcome.target
    ones = np.ones_like(odds)
    level = _fit(ones[:, None], odds, truth, weights, people, 0)
    if np.ptp(odds) < 1e-9:
        return level, _Fit(math.nan, None)
    return level, _fit(np.stack([ones, odds], axis=1), 0 * odds, truth, weights, people, 1)


def _fit(  # noqa: PLR0917 - the parts of a weighted logistic regression
    columns: Float[np.ndarray, "scans coefficients"],
    offset: Float[np.ndarray, " scans"],
    truth: Float[np.ndarray, " scans"],
    weights: Float[np.ndarray, " scans"],
    people: Int[np.ndarray, " scans"],
    wanted: int,
) -> _Fit:
    """One coefficient of a weighted logistic regression, by Newton's method."""
    found, nothing = np.zeros(columns.shape[1]), _Fit(math.nan, None)
    if len(np.unique(truth)) < 2:
        return nothing
    for _ in range(_STEPS):
        said = expit(offset + columns @ found)
        scores = columns * (weights * (truth - said))[:, None]
        spread = weights * said * (1 - said)
        if spread.sum() < 1e-9:
            return nothing
        curved = np.linalg.pinv(columns.T @ (columns * spread[:, None]))
        step = curved @ scores.sum(axis=0)
        found = found + step
        if np.abs(found).max() > _STEEPEST:
            return nothing
        if np.abs(step).max() < 1e-10:
            return _Fit(float(found[wanted]), np.bincount(people, scores @ curved[wanted]))
    return nothing


def _line(fits: Sequence[_Fit], counted: int, confidence: float) -> Line:
    """The mean of the repeats; `counted` less 1 are the degrees of freedom."""
    values = np.array([fit.value for fit in fits])
    moved = [fit.moved for fit in fits if fit.moved is not None]
    if len(moved) < len(fits) or counted < 2:
        return Line(np.where([fit.moved is None for fit in fits], np.nan, values), UNKNOWN)
    mean = np.mean(moved, axis=0)
    people = len(mean)
    spread = math.sqrt(people / (people - 1) * float(mean @ mean))
    reach = float(students_t.ppf((1 + confidence) / 2, counted - 1)) * spread
    centre = float(values.mean())
    return Line(values, Interval(centre - reach, centre + reach))


def _bins(score: Float[np.ndarray, " scans"], people: int) -> Int[np.ndarray, " scans"]:
    """The bin of each score: as many scores in each as ties allow, at least ten people in each."""
    count = int(np.clip(people // _PEOPLE_A_BIN, 1, _MOST_BINS))
    edges = np.quantile(score, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(edges, score, side="left")
