"""Split-conformal prediction: how far the truth may lie from what a head says of a new person."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from neurofm.models.head import HeadCard

_ROUNDING = 1e-9  # (n + 1) * level is meant exactly, as in 10 * 0.9


def conformity_errors(
    known: Float[np.ndarray, " scans"], said: Float[np.ndarray, "scans values"], head: HeadCard
) -> Float[np.ndarray, " scans"]:
    """How badly the truth conforms to what a head said: 0 is best; the score is its size.

    The errors of the mean of several heads are the mean of theirs.

    Args:
        known: the number, or the place of the class.
        said: of the head, see `models.head.predictions`.
        head: what it predicts.

    Returns:
        for a number what was said less the truth, in its own unit; for a class 1 - the probability
        it was given (Sadinle, Lei and Wasserman 2019, "least ambiguous set-valued classifiers").
    """
    if head.kind == "regression":
        return np.asarray(said[:, 0] - known)
    return np.asarray(1 - said[np.arange(len(said)), known.astype(int)])


def fewest_scores(level: float) -> int:
    """How many people a level needs: nine for 0.9."""
    return math.ceil(level / (1 - level) - _ROUNDING)


def score_limit(scores: Sequence[float], level: float) -> float:
    """The score that a new person keeps to with a probability of at least `level`.

    The ceil((n + 1) level)-th smallest size of n (Lei et al. 2018, section 2.2); inf where n is
    too small for the level.

    Args:
        scores: one for each person, drawn as the new one is; signs do not count.
        level: above 0, below 1.
    """
    place = math.ceil((len(scores) + 1) * level - _ROUNDING)
    return sorted(map(abs, scores))[place - 1] if place <= len(scores) else math.inf


def common_limit(heads: Sequence[HeadCard], level: float) -> float:
    """The limit about the mean of what several heads say.

    Where all have scores of the same people, the limit of the mean's own errors (see
    `are_of_same_people`). Otherwise the mean of their limits: the mean is never further from the
    truth than the members are on average, so that holds, and more often than asked, where errors
    go together, as those of seeds of one recipe do. Members that fail one at a time, rarely and
    badly, could break it. inf where a member has too few scores.
    """
    if are_of_same_people(heads):
        together = np.mean([head.validation_scores for head in heads], axis=0)
        return score_limit(together.tolist(), level)
    return float(np.mean([score_limit(head.validation_scores, level) for head in heads]))


def are_of_same_people(heads: Sequence[HeadCard]) -> bool:
    """Whether the scores of all heads are of the same people, in the same order."""
    whose = {(head.validation_people, len(head.validation_scores)) for head in heads}
    return len(whose) == 1 and bool(heads[0].validation_people)


def class_sets(
    probabilities: Float[np.ndarray, "scans classes"], limit: float
) -> list[tuple[int, ...]]:
    """The places of the classes that may be the true one; the likeliest is always among them.

    Without the likeliest a set could be empty; with it, it holds the truth as often or more.
    """
    conform = 1 - probabilities <= limit
    conform[np.arange(len(conform)), probabilities.argmax(axis=1)] = True
    return [tuple(np.flatnonzero(row).tolist()) for row in conform]
