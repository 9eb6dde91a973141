"""The k nearest neighbours, for scans with weights: what features hold without any fit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from neurofm.evaluation.linear import Rows, Sample


def neighbours_path(
    sample: Sample, test: Rows, counts: tuple[float, ...], num_classes: int
) -> np.ndarray:
    """Predictions for `test` by the nearest scans of a sample, for several numbers of them.

    Near is by Euclidean distance of the standardised features. A neighbour counts by its weight,
    so a participant with many scans counts as one. The sample's own mean, or its shares of the
    classes, counts as one more neighbour: no class is ever impossible.

    Args:
        sample: standardised features, numbers or classes, weights.
        test: features standardised alike.
        counts: numbers of neighbours; more than there are takes all.
        num_classes: 0 for numbers.

    Returns:
        "counts test_scans", for classes with one more axis: their probabilities.
    """
    said = sample.values[:, None]
    if num_classes:
        said = np.eye(num_classes)[sample.values.astype(int)]
    usual = sample.weights @ said / sample.weights.sum()
    order = np.argsort(_squared_distances(test, sample.features), axis=1, kind="stable")
    weights = sample.weights[order]
    votes = np.cumsum(weights[..., None] * said[order], axis=1)
    total = np.cumsum(weights, axis=1)
    last = [min(int(count), order.shape[1]) - 1 for count in counts]
    found = (votes[:, last] + usual) / (total[:, last, None] + 1)
    by_count = np.moveaxis(found, 1, 0)
    return by_count if num_classes else by_count[..., 0]


def _squared_distances(
    one: Rows, other: Float[np.ndarray, "others features"]
) -> Float[np.ndarray, "scans others"]:
    lengths = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :]
    return np.asarray(lengths - 2 * one @ other.T)
