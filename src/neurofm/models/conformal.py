"""Split-conformal prediction: how far the truth may lie from what a head says of a new person."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from neurofm.models.head import HeadCard

_ROUNDING = 1e-9  # (n + 1) * level is meant exactly, as in 10 * 0.9


def conformity_scores(
    known: Float[np.ndarray, " scans"], said: Float[np.ndarray, "scans values"], head: HeadCard
) -> Float[np.ndarray, " scans"]:
    """How badly the truth conforms to what a head said: 0 is best.

    Args:
        known: the number, or the place of the class.
        said: of the head, see `models.head.predictions`.
        head: what it predicts.

    Returns:
        for a number the distance in its own unit; for a class 1 - the probability it was given
        (Sadinle, Lei and Wasserman 2019, "least ambiguous set-valued classifiers").
    """
    if head.kind == "regression":
        return np.asarray(np.abs(known - said[:, 0]))
    return np.asarray(1 - said[np.arange(len(said)), known.astype(int)])


def fewest_scores(level: float) -> int:
    """How many people a level needs: nine for 0.9."""
    return math.ceil(level / (1 - level) - _ROUNDING)


def score_limit(scores: Sequence[float], level: float) -> float:
    """The score that a new person keeps to with a probability of at least `level`.

    The ceil((n + 1) level)-th smallest of n (Lei et al. 2018, section 2.2); inf where n is too
    small for the level.

    Args:
        scores: one for each person, drawn as the new one is.
        level: above 0, below 1.
    """
    place = math.ceil((len(scores) + 1) * level - _ROUNDING)
    return sorted(scores)[place - 1] if place <= len(scores) else math.inf


def common_limit(heads: Sequence[HeadCard], level: float) -> float:
    """The limit about the mean of what several heads say: the mean of their own limits.

    The mean is never further from the truth than the members are on average, so their mean limit
    holds where errors go together, as those of seeds of one recipe do. Members that fail one at a
    time, rarely and badly, could break it. inf where a member has too few scores.
    """
    return float(np.mean([score_limit(head.validation_scores, level) for head in heads]))


def class_sets(
    probabilities: Float[np.ndarray, "scans classes"], limit: float
) -> list[tuple[int, ...]]:
    """The places of the classes that may be the true one; the likeliest is always among them.

    Without the likeliest a set could be empty; with it, it holds the truth as often or more.
    """
    conform = 1 - probabilities <= limit
    conform[np.arange(len(conform)), probabilities.argmax(axis=1)] = True
    return [tuple(np.flatnonzero(row).tolist()) for row in conform]
