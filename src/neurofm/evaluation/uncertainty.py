"""How sure a number is: bootstrap over participants, paired comparison, Holm's correction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neurofm.evaluation.folds import participant_weights

# Resamples worked on at once, so that tens of thousands of scans fit into memory.
_CHUNK = 250


@dataclass(frozen=True)
class Interval:
    """A percentile interval."""

    low: float
    high: float

    @property
    def width(self) -> float:
        """High less low."""
        return self.high - self.low


@dataclass(frozen=True)
class Comparison:
    """How much better (above 0) one model is than another on the same participants."""

    gain: float
    interval: Interval
    p: float


def resample_weights(
    participants: Int[np.ndarray, " scans"],
    strata: Int[np.ndarray, " scans"],
    resamples: int,
    stream: np.random.Generator,
) -> Iterator[Float[np.ndarray, "resamples scans"]]:
    """Weights of the scans in bootstrap resamples of participants, some resamples at a time.

    Participants are drawn with replacement within their stratum (class), so every resample has
    the class sizes of the sample; a participant's weight is shared by the participant's scans.
    """
    people = int(participants.max()) + 1
    stratum = np.full(people, np.iinfo(np.int64).max)
    np.minimum.at(stratum, participants, strata)
    groups = [np.flatnonzero(stratum == value) for value in np.unique(stratum)]
    base = participant_weights(participants)
    for start in range(0, resamples, _CHUNK):
        counts = np.zeros((min(_CHUNK, resamples - start), people))
        for group in groups:
            share = np.full(len(group), 1 / len(group))
            counts[:, group] = stream.multinomial(len(group), share, size=len(counts))
        yield counts[:, participants] * base


def bootstrap(
    statistic: Callable[[Float[np.ndarray, "resamples scans"]], np.ndarray],
    weights: Iterator[Float[np.ndarray, "resamples scans"]],
) -> np.ndarray:
    """The statistic of every resample; its last axis is the resample."""
    return np.concatenate([statistic(chunk) for chunk in weights], axis=-1)


def percentile_interval(values: Float[np.ndarray, " resamples"], confidence: float) -> Interval:
    """The middle `confidence` of the values; NaN where a resample has no value."""
    if np.isnan(values).any():
        return Interval(np.nan, np.nan)
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def compare(
    gain: float, resampled_gains: Float[np.ndarray, " resamples"], confidence: float
) -> Comparison:
    """Interval and two-sided p value of a paired gain from its bootstrap resamples.

    p is twice the smaller share of resamples on either side of 0, counting the sample itself, so
    it is never 0.
    """
    interval = percentile_interval(resampled_gains, confidence)
    if np.isnan(interval.low):
        return Comparison(gain, interval, np.nan)
    below = (1 + (resampled_gains <= 0).sum()) / (1 + len(resampled_gains))
    above = (1 + (resampled_gains >= 0).sum()) / (1 + len(resampled_gains))
    return Comparison(gain, interval, float(min(1.0, 2 * min(below, above))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment for a family of tests; NaN stays NaN and counts for nothing.

    Source: Holm 1979, Scand J Stat 6:65-70.
    """
    adjusted = [float("nan")] * len(p_values)
    order = sorted((p, place) for place, p in enumerate(p_values) if not np.isnan(p))
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = highest
    return adjusted
