"""Samples of two equally good models whose true metrics are known.

Participants have one to three scans; what these share makes up 40 to 70 % of a scan's variance, and
the two models share 40 %.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit, softmax
from scipy.stats import norm

from neurofm.evaluation.metrics import METRICS, Outcome
from neurofm.evaluation.scoring import Sample


def scans_of(people: int, stream: np.random.Generator) -> np.ndarray:
    """The participant of each scan, one to three scans each."""
    return np.repeat(np.arange(people), stream.integers(1, 4, people))


def errors(people: np.ndarray, models: int, stream: np.random.Generator) -> list[np.ndarray]:
    """Standard normal errors of each model, one a scan."""
    count = int(people.max()) + 1
    shared = stream.normal(size=count)[people]
    return [
        np.sqrt(0.4) * shared
        + np.sqrt(0.3) * stream.normal(size=count)[people]
        + np.sqrt(0.3) * stream.normal(size=len(people))
        for _ in range(models)
    ]


def two_classes(positives: int, negatives: int, area: float, stream: np.random.Generator) -> Sample:
    """Probabilities that are right, of so many people of each class."""
    truth = np.arange(positives + negatives) < positives
    return _of_two_classes(truth, positives / (positives + negatives), area, stream)


def right_probabilities(
    people: int, prevalence: float, area: float, stream: np.random.Generator
) -> Sample:
    """The same of people whose class is drawn."""
    truth = np.zeros(people, bool)
    while min(truth.sum(), (~truth).sum()) < 2:
        truth = stream.random(people) < prevalence
    return _of_two_classes(truth, prevalence, area, stream)


def numbers(people: int, slope: float, noise: float, stream: np.random.Generator) -> Sample:
    """Predictions of a standard normal target, too near its mean where the slope is below 1."""
    scans = scans_of(people, stream)
    target = stream.normal(size=people)[scans]
    nothing = np.zeros((len(scans), 0))
    repeats = [
        Outcome(target, slope * target + noise * error, nothing, 0 * scans)
        for error in errors(scans, 2, stream)
    ]
    return Sample(repeats, scans, 0 * scans)


def many_classes(sizes: tuple[int, ...], distance: float, stream: np.random.Generator) -> Sample:
    """Right probabilities of several classes, each as far from the others."""
    scans = scans_of(sum(sizes), stream)
    truth = np.repeat(np.arange(len(sizes)), sizes)[scans]
    drawn = [errors(scans, 2, stream) for _ in sizes]
    repeats = [
        _of_many_classes(
            truth, np.stack([of_class[model] for of_class in drawn], 1), sizes, distance
        )
        for model in (0, 1)
    ]
    return Sample(repeats, scans, truth.astype(np.int64))


def truth_of_two_classes(positives: int, negatives: int, area: float) -> dict[str, float]:
    """The values of an endless sample with these shares of the classes, by quadrature."""
    distance, share = np.sqrt(2) * norm.ppf(area), positives / (positives + negatives)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    weights = weights / weights.sum()
    yes, no = distance / 2 + nodes, nodes - distance / 2
    wrong_of_yes, wrong_of_no = (
        weights @ (expit(sign * (distance * score + logit(share)))) ** 2
        for sign, score in ((-1, yes), (1, no))
    )
    found, false = share * norm.sf(yes - distance / 2), (1 - share) * norm.sf(yes + distance / 2)
    half = float(norm.cdf(distance / 2))
    return {
        "AUC": area,
        "balanced accuracy": half,
        "average precision": float(weights @ (found / (found + false))),
        "Brier score": float(share * wrong_of_yes + (1 - share) * wrong_of_no),
        "sensitivity": half,
        "specificity": half,
    }


def truth_of_numbers(slope: float, noise: float) -> dict[str, float]:
    """The values of an endless sample."""
    square = (1 - slope) ** 2 + noise**2
    return {
        "MAE": float(np.sqrt(2 * square / np.pi)),
        "RMSE": float(np.sqrt(square)),
        "r": float(slope / np.hypot(slope, noise)),
        "R2": 1 - square,
        "bias slope": slope - 1,
    }


def truth_of_many_classes(sizes: tuple[int, ...], distance: float) -> dict[str, float]:
    """The values of 200,000 people of each class, weighted as their shares are."""
    truth = np.repeat(np.arange(len(sizes)), 200_000)
    noise = np.random.default_rng(99).normal(size=(len(truth), len(sizes)))
    outcome = _of_many_classes(truth, noise, sizes, distance)
    weights = np.array(sizes)[truth][None, :] / sum(sizes)
    return {each.name: float(each.compute(outcome, weights)[0]) for each in METRICS["multiclass"]}


def _of_two_classes(
    positive: np.ndarray, prevalence: float, area: float, stream: np.random.Generator
) -> Sample:
    people = scans_of(len(positive), stream)
    truth, distance = positive[people] * 1.0, np.sqrt(2) * norm.ppf(area)
    repeats = []
    for error in errors(people, 2, stream):
        score = distance * (truth - 0.5) + error
        said = expit(distance * score + logit(prevalence))
        both, thresholds = np.stack([1 - said, said], 1), np.full(len(truth), prevalence)
        repeats.append(Outcome(truth, (score > 0) * 1.0, both, 0 * people, thresholds))
    return Sample(repeats, people, truth.astype(np.int64))


def _of_many_classes(
    truth: np.ndarray, noise: np.ndarray, sizes: tuple[int, ...], distance: float
) -> Outcome:
    scores = distance * (truth[:, None] == np.arange(len(sizes))) + noise
    said = softmax(distance * scores + np.log(np.array(sizes) / sum(sizes)), axis=1)
    return Outcome(truth * 1.0, scores.argmax(axis=1) * 1.0, said, 0 * truth)
