"""The threshold: against every possible one, and chosen without the test part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_curve

from neurofm.cohorts.task_roles import TEST, VALIDATION
from neurofm.data.targets import Target
from neurofm.evaluation.contenders import AsTrained
from neurofm.evaluation.metrics import Outcome, sensitivity, specificity
from neurofm.evaluation.operating_point import choose_threshold
from neurofm.evaluation.parts import divide
from neurofm.evaluation.probe import Reader, cross_validate, predict_test_part


def test_no_threshold_has_a_greater_sum_of_sensitivity_and_specificity() -> None:
    """Against the ROC curve of scikit-learn, with weights and ties."""
    stream = np.random.default_rng(0)
    positive = stream.random(50) < 0.3
    score = np.round(stream.random(50) + 0.4 * positive, 1)
    weights = stream.uniform(0.2, 1.0, 50)
    threshold = choose_threshold(positive, score, weights)
    called = score >= threshold
    found = weights[called & positive].sum() / weights[positive].sum()
    spared = weights[~called & ~positive].sum() / weights[~positive].sum()
    false, true, _ = roc_curve(positive, score, sample_weight=weights)
    assert found + spared - 1 == pytest.approx((true - false).max())


def test_it_lies_halfway_between_the_scores_it_parts() -> None:
    positive = np.array([False, False, True, True])
    assert choose_threshold(positive, np.array([0.1, 0.2, 0.6, 0.9]), np.ones(4)) == 0.4


def test_one_class_or_equal_scores_have_no_threshold() -> None:
    """Case 83."""
    score = np.array([0.1, 0.2, 0.6])
    assert np.isnan(choose_threshold(np.ones(3, bool), score, np.ones(3)))
    assert np.isnan(choose_threshold(np.zeros(3, bool), score, np.ones(3)))
    assert np.isnan(choose_threshold(np.array([True, False, True]), np.ones(3), np.ones(3)))


def test_sensitivity_and_specificity_are_those_of_scikit_learn() -> None:
    stream = np.random.default_rng(1)
    target, score = (stream.random(40) < 0.4) * 1.0, stream.random(40)
    thresholds = np.where(np.arange(40) < 20, 0.4, 0.6)  # of two folds
    outcome = Outcome(
        target, target, np.stack([1 - score, score], 1), np.zeros(40, int), thresholds
    )
    weights = stream.integers(1, 4, (3, 40)).astype(float)
    for row, weight in enumerate(weights):
        for metric, label in ((sensitivity, 1), (specificity, 0)):
            expected = recall_score(
                target, score >= thresholds, pos_label=label, sample_weight=weight
            )
            assert metric(outcome, weights)[row] == pytest.approx(expected)


def _people(values: np.ndarray) -> Target:
    count = len(values)
    keys = tuple(f"c/{i:03d}" for i in range(count))
    return Target(
        "trait", "binary", np.arange(count), values, ("a", "b"), np.arange(count), keys, ()
    )


@pytest.mark.parametrize("reader", ["linear", "neighbours"])
def test_a_fold_has_one_threshold_that_its_own_scans_do_not_change(reader: Reader) -> None:
    stream = np.random.default_rng(2)
    values = np.arange(60) % 2 * 1.0
    features = stream.normal(size=(60, 4)) + values[:, None]
    before = cross_validate(features, _people(values), 4, 0, 0, reader)
    changed = features.copy()
    inside = before.folds == before.folds[0]
    changed[inside] += 3
    after = cross_validate(changed, _people(values), 4, 0, 0, reader)
    assert before.thresholds is not None
    assert after.thresholds is not None
    assert len(set(before.thresholds[inside])) == 1
    assert np.array_equal(before.thresholds[inside], after.thresholds[inside])
    assert len(set(before.thresholds)) == 4


@pytest.mark.parametrize("reader", ["linear", "neighbours"])
def test_on_a_test_part_the_threshold_follows_from_validation_alone(
    kit: Any, reader: Reader
) -> None:
    task = divide(kit.store.index, "sex", kit.recipe().split)
    stream = np.random.default_rng(3)
    features = stream.normal(size=(len(task.target.rows), 3)) + task.target.values[:, None]
    before = predict_test_part(features, task, reader)
    features[task.part(TEST)] += 5
    after = predict_test_part(features, task, reader)
    assert before.thresholds is not None
    assert np.array_equal(before.thresholds, after.thresholds)  # type: ignore[arg-type]


def test_a_networks_threshold_is_of_what_it_says_of_validation(kit: Any) -> None:
    task = divide(kit.store.index, "sex", kit.recipe().split)
    score = np.random.default_rng(4).random(len(kit.store.index))
    network = AsTrained("network", (np.stack([1 - score, score], 1),), (True,), (1.0,))
    outcome = network.outcome(task, 0)
    validation = task.target_of(VALIDATION)
    people = np.bincount(validation.participants)[validation.participants]
    expected = choose_threshold(validation.values == 1, score[validation.rows], 1 / people)
    assert outcome.thresholds is not None
    assert outcome.thresholds == pytest.approx(expected)


def test_a_model_without_features_has_no_threshold() -> None:
    outcome = cross_validate(np.zeros((40, 0)), _people(np.arange(40) % 2 * 1.0), 4, 0, 0)
    assert outcome.thresholds is not None
    assert np.isnan(outcome.thresholds).all()
    assert np.isnan(sensitivity(outcome, np.ones((1, 40)))).all()
