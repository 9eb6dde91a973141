"""The nearest neighbours against a loop, and against scikit-learn where weights are equal."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from neurofm.data.targets import Target
from neurofm.evaluation.linear import Sample
from neurofm.evaluation.metrics import area_under_curve
from neurofm.evaluation.neighbours import neighbours_path
from neurofm.evaluation.probe import cross_validate

COUNTS = (1.0, 3.0, 10.0, 500.0)


def _sample(classes: int, weights: np.ndarray | None = None) -> tuple[Sample, np.ndarray]:
    stream = np.random.default_rng(0)
    values = stream.integers(0, classes, 40) if classes else stream.normal(50, 10, 40)
    weights = np.ones(40) if weights is None else weights
    sample = Sample(stream.normal(size=(40, 5)), values.astype(float), weights)
    return sample, stream.normal(size=(7, 5))


@pytest.mark.parametrize("classes", [0, 3])
def test_with_equal_weights_it_is_scikit_learns_with_the_mean_as_one_more(classes: int) -> None:
    sample, test = _sample(classes)
    found = neighbours_path(sample, test, COUNTS, classes)
    for place, count in enumerate(COUNTS):
        near = min(int(count), 40)
        if classes:
            model = KNeighborsClassifier(near).fit(sample.features, sample.values)
            plain = model.predict_proba(test)
            usual = np.bincount(sample.values.astype(int)) / 40
        else:
            plain = KNeighborsRegressor(near).fit(sample.features, sample.values).predict(test)
            usual = sample.values.mean()
        assert found[place] == pytest.approx((near * plain + usual) / (near + 1))


def test_a_neighbour_counts_by_its_weight() -> None:
    weights = np.random.default_rng(1).uniform(0.1, 1, 40)
    sample, test = _sample(0, weights)
    found = neighbours_path(sample, test, (5.0,), 0)[0]
    for place, scan in enumerate(test):
        near = np.argsort([((scan - other) ** 2).sum() for other in sample.features])[:5]
        total = sum(weights[one] * sample.values[one] for one in near)
        mean = (weights * sample.values).sum() / weights.sum()
        assert found[place] == pytest.approx((total + mean) / (weights[near].sum() + 1))


def test_it_finds_what_no_linear_model_can() -> None:
    """The class is whether a scan lies near the middle."""
    stream = np.random.default_rng(2)
    features = stream.normal(size=(200, 2))
    values = ((features**2).sum(axis=1) < 1.4) * 1.0
    target = Target(
        "ring", "binary", np.arange(200), values, ("a", "b"), np.arange(200), ("c/0",) * 200, ()
    )
    once = np.ones((1, 200))
    near = cross_validate(features, target, 5, 0, 0, "neighbours")
    straight = cross_validate(features, target, 5, 0, 0)
    assert area_under_curve(near, once)[0] > 0.95
    assert area_under_curve(straight, once)[0] < 0.7
