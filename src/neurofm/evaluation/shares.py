"""Intervals of shares of participants that are called right: of one class, or several together.

Each class has Wilson's interval; those of a mean over classes are put together by their distances
from the shares (Newcombe 1998, Stat Med 17:873-890; any sum: Zou and Donner 2008, Stat Med
27:1693-1702). A participant with several scans may be right in part, which varies less than all or
nothing: the share then counts as one of more participants, by as much as its variance is smaller
(Korn and Graubard 1998, Surv Methodol 24:193-201), but never of more than scans that tell nothing
of each other would be (Kish 1965).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.metrics import Outcome, called_right, decided_right, ranked_right
from neurofm.evaluation.uncertainty import Interval, wilson_interval

_Right = Callable[[Outcome], Float[np.ndarray, " scans"]]


@dataclass(frozen=True)
class _Meaning:
    """What a metric that is a share counts.

    Attributes:
        right: whether each scan is called right.
        only: the class that counts; None for all.
        is_balanced: whether classes weigh the same.
    """

    right: _Right
    only: int | None = None
    is_balanced: bool = True


_MEANINGS = {
    "balanced accuracy": _Meaning(decided_right),
    "accuracy": _Meaning(ranked_right, is_balanced=False),
    "sensitivity": _Meaning(called_right, only=1),
    "specificity": _Meaning(called_right, only=0),
}


def is_share(metric: str) -> bool:
    """Whether a metric is a share of participants, or a mean of shares."""
    return metric in _MEANINGS


def share_interval(
    metric: str,
    repeats: Sequence[Outcome],
    people: Int[np.ndarray, " scans"],
    confidence: float,
) -> Interval:
    """The interval of a share; NaN where nothing is called right or wrong.

    Args:
        metric: its name.
        repeats: of one model, the same scans in each; what they call right is averaged.
        people: a number for each scan's participant, 0, 1, 2...
        confidence: of the interval.
    """
    meaning, target = _MEANINGS[metric], repeats[0].target
    right = np.mean([meaning.right(each) for each in repeats], axis=0)
    labels = np.unique(target) if meaning.only is None else [meaning.only]
    shares = [_share(right, target == label, people, confidence) for label in labels]
    sizes = np.array([1.0 if meaning.is_balanced else share.weight for share in shares])
    return _together(shares, sizes / sizes.sum())


@dataclass(frozen=True)
class _Share:
    value: float
    interval: Interval
    weight: float


def _share(
    right: Float[np.ndarray, " scans"],
    of_class: Bool[np.ndarray, " scans"],
    people: Int[np.ndarray, " scans"],
    confidence: float,
) -> _Share:
    weights = participant_weights(people) * of_class
    total = float(weights.sum())
    if not total or np.isnan(right[of_class]).any():
        return _Share(math.nan, Interval(math.nan, math.nan), total)
    share = float(weights @ right / total)
    counted = _counted(right, weights, people, share)
    return _Share(share, wilson_interval(share, counted, confidence), total)


def _counted(
    right: Float[np.ndarray, " scans"],
    weights: Float[np.ndarray, " scans"],
    people: Int[np.ndarray, " scans"],
    share: float,
) -> float:
    """As one of how many participants with one scan each the share counts."""
    total = float(weights.sum())
    count = len(np.unique(people[weights > 0]))
    most = max(float(count), total**2 / float(weights @ weights))
    moved = np.bincount(people, weights * (right - share)) / total
    if count < 2 or share in (0.0, 1.0):
        return float(count)
    variance = count / (count - 1) * float(moved @ moved)
    return float(np.clip(share * (1 - share) / max(variance, 1e-12), count, most))


def _together(shares: Sequence[_Share], weights: Float[np.ndarray, " classes"]) -> Interval:
    value = float(weights @ [share.value for share in shares])
    below = weights * [share.value - share.interval.low for share in shares]
    above = weights * [share.interval.high - share.value for share in shares]
    return Interval(value - math.sqrt(below @ below), value + math.sqrt(above @ above))
