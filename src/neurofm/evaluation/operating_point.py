"""The operating point: the score from which on a scan is called positive, never chosen on test."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def choose_threshold(
    positive: Bool[np.ndarray, " scans"],
    score: Float[np.ndarray, " scans"],
    weights: Float[np.ndarray, " scans"],
) -> float:
    """The threshold with the greatest sum of sensitivity and specificity.

    It lies halfway between two neighbouring scores; of several equally good ones it is the middle
    one. Source: Youden 1950, Cancer 3:32-35.

    Args:
        positive: whether each scan is of the positive class.
        score: higher for those that seem positive.
        weights: of the scans.

    Returns:
        NaN where a class is missing or all scores are the same.
    """
    values, place = np.unique(score, return_inverse=True)
    above = np.bincount(place, weights * positive, len(values))
    below = np.bincount(place, weights * ~positive, len(values))
    if len(values) < 2 or not above.sum() or not below.sum():
        return float("nan")
    found = 1 - np.cumsum(above)[:-1] / above.sum()
    spared = np.cumsum(below)[:-1] / below.sum()
    total = found + spared
    best = np.flatnonzero(total >= total.max() - 1e-12)
    chosen = int(best[len(best) // 2])
    return float((values[chosen] + values[chosen + 1]) / 2)
