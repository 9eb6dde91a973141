"""Regularised linear models over a whole path of penalties, for scans with weights.

Each model minimises the weighted mean loss (log loss, or half the squared error) plus penalty / 2
times the squared length of its coefficients; the intercept is free. As it is the mean loss, one
grid of penalties suits any number of scans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "scans features"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Mean and spread of each feature in a training part, to be applied to any part."""

    mean: Float[np.ndarray, " features"]
    spread: Float[np.ndarray, " features"]

    def apply(self, features: Rows) -> Rows:
        """Standardised features; what is missing or never varied becomes 0, the mean."""
        scaled = (features - self.mean) / self.spread
        return np.where(np.isfinite(scaled), scaled, 0.0)


def fit_scaling(features: Rows, weights: Float[np.ndarray, " scans"]) -> Scaling:
    """Weighted mean and standard deviation of each feature over the scans that have it."""
    known = np.isfinite(features)
    weight = weights[:, None] * known
    total = weight.sum(axis=0)
    clean = np.where(known, features, 0.0)
    mean = np.divide((weight * clean).sum(axis=0), total, out=np.zeros_like(total), where=total > 0)
    squares = (weight * np.where(known, features - mean, 0.0) ** 2).sum(axis=0)
    spread = np.sqrt(np.divide(squares, total, out=np.zeros_like(total), where=total > 0))
    varies = spread > 1e-10 * (1 + np.abs(mean))
    return Scaling(mean, np.where(varies, spread, np.inf))


@dataclass(frozen=True, eq=False)
class Sample:
    """What a linear model learns from: standardised features, numbers or classes, weights."""

    features: Rows
    values: Float[np.ndarray, " scans"]
    weights: Float[np.ndarray, " scans"]


def ridge_path(
    sample: Sample, test: Rows, penalties: tuple[float, ...]
) -> Float[np.ndarray, "penalties test_scans"]:
    """Predictions for `test` of ridge regression at each penalty, by one decomposition."""
    share = sample.weights / sample.weights.sum()
    centre, level = share @ sample.features, float(share @ sample.values)
    root = np.sqrt(share)
    left, scale, right = np.linalg.svd(
        root[:, None] * (sample.features - centre), full_matrices=False
    )
    loads = left.T @ (root * (sample.values - level))
    shadow = (test - centre) @ right.T
    shrunk = [scale / (scale**2 + penalty) * loads for penalty in penalties]
    return level + np.stack([shadow @ coefficients for coefficients in shrunk])


def logistic_path(
    sample: Sample, test: Rows, penalties: tuple[float, ...], num_classes: int
) -> Float[np.ndarray, "penalties test_scans classes"]:
    """Class probabilities for `test` of logistic regression (softmax) at each penalty.

    The fit is made in the space the training scans span, where its solution lies anyway: with
    more features than scans that is the same model for a fraction of the time.
    """
    from sklearn import config_context
    from sklearn.linear_model import LogisticRegression

    total = sample.weights.sum()
    labels = sample.values.astype(int)
    present = np.unique(labels)
    if len(present) == 1 or not sample.features.shape[1]:
        prior = np.bincount(labels, sample.weights, num_classes) / total
        return np.broadcast_to(prior, (len(penalties), len(test), num_classes)).copy()
    right = np.linalg.svd(sample.features, full_matrices=False)[2]
    fit_rows, test_rows = sample.features @ right.T, test @ right.T
    result = np.zeros((len(penalties), len(test), num_classes))
    # From the strongest penalty on, each fit starts where the last one ended.
    model = LogisticRegression(warm_start=True, max_iter=2000, tol=1e-5)
    with config_context(assume_finite=True, skip_parameter_validation=True):
        for place in np.argsort(penalties)[::-1]:
            model.C = 1.0 / (penalties[place] * total)
            model.fit(fit_rows, labels, sample_weight=sample.weights)
            result[place][:, present] = model.predict_proba(test_rows)
    return result
