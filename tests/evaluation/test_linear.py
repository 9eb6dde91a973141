from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from neurofm.evaluation.linear import Sample, fit_scaling, logistic_path, ridge_path

PENALTIES = (0.01, 1.0, 10.0)


def sample(features: int, classes: int = 0) -> tuple[Sample, np.ndarray]:
    stream = np.random.default_rng(features)
    rows = stream.normal(size=(30, features))
    values = rows[:, 0] * 2 + stream.normal(size=30)
    if classes:
        values = (np.argsort(np.argsort(values)) * classes // 30).astype(float)
    return Sample(rows, values, stream.uniform(0.3, 1, 30)), stream.normal(size=(7, features))


@pytest.mark.parametrize("features", [3, 80])
def test_the_ridge_path_is_that_of_scikit_learn(features: int) -> None:
    known, new = sample(features)
    path = ridge_path(known, new, PENALTIES)
    for penalty, predicted in zip(PENALTIES, path, strict=True):
        model = Ridge(alpha=penalty * known.weights.sum())
        model.fit(known.features, known.values, sample_weight=known.weights)
        assert predicted == pytest.approx(model.predict(new), rel=1e-6)


@pytest.mark.parametrize(("features", "classes"), [(3, 2), (80, 2), (80, 3)])
def test_the_rotated_logistic_path_is_that_of_the_features_themselves(
    features: int, classes: int
) -> None:
    known, new = sample(features, classes)
    path = logistic_path(known, new, PENALTIES, classes)
    for penalty, predicted in zip(PENALTIES, path, strict=True):
        model = LogisticRegression(C=1 / (penalty * known.weights.sum()), tol=1e-8, max_iter=5000)
        model.fit(known.features, known.values, sample_weight=known.weights)
        assert predicted == pytest.approx(model.predict_proba(new), abs=1e-3)


def test_without_features_the_prediction_is_the_weighted_mean_or_the_class_sizes() -> None:
    known, _ = sample(3)
    empty = Sample(known.features[:, :0], known.values, known.weights)
    mean = np.average(known.values, weights=known.weights)
    assert ridge_path(empty, np.zeros((2, 0)), (1.0,))[0] == pytest.approx([mean, mean])
    labels = Sample(known.features[:, :0], np.arange(30.0) % 2, np.ones(30))
    assert logistic_path(labels, np.zeros((1, 0)), (1.0,), 2)[0, 0] == pytest.approx([0.5, 0.5])


def test_an_absent_class_gets_no_probability() -> None:
    known, new = sample(3, 2)
    path = logistic_path(known, new, PENALTIES, 4)
    assert path.shape == (3, 7, 4)
    assert (path[..., 2:] == 0).all()
    assert path.sum(axis=2) == pytest.approx(np.ones((3, 7)))


def test_scaling_gives_mean_zero_and_spread_one_and_turns_the_unknown_into_the_mean() -> None:
    stream = np.random.default_rng(0)
    rows, weights = stream.normal(30, 5, (50, 3)), stream.uniform(0.5, 1, 50)
    rows[:, 1] = 7.0
    rows[4, 2] = np.nan
    scaled = fit_scaling(rows, weights).apply(rows)
    assert np.average(scaled, axis=0, weights=weights)[0] == pytest.approx(0, abs=1e-12)
    assert np.average(scaled[:, 0] ** 2, weights=weights) == pytest.approx(1)
    assert (scaled[:, 1] == 0).all()
    assert scaled[4, 2] == 0
