from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn import metrics as reference

from neurofm.evaluation.metrics import (
    METRICS,
    Outcome,
    area_under_curve,
    average_precision,
    balanced_accuracy,
    bias_slope,
    brier_score,
    correlation,
    explained_variance,
    mean_absolute_error,
    root_mean_squared_error,
)

ONE_FOLD = np.zeros(40, dtype=np.int64)


def binary(seed: int = 0, folds: np.ndarray = ONE_FOLD) -> Outcome:
    stream = np.random.default_rng(seed)
    target = (stream.random(40) < 0.4).astype(float)
    # Rounded, so that there are ties.
    score = np.round(np.clip(0.3 * target + stream.random(40) * 0.6, 0, 1), 1)
    return Outcome(target, (score > 0.5).astype(float), np.stack([1 - score, score], 1), folds)


def numbers(seed: int = 0) -> Outcome:
    stream = np.random.default_rng(seed)
    target = stream.normal(50, 10, 40)
    return Outcome(target, target + stream.normal(1, 5, 40), np.zeros((40, 0)), ONE_FOLD)


def weights(seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4, (5, 40)).astype(float)


def slow_auc(outcome: Outcome, weight: np.ndarray, label: int = 1) -> float:
    won = pairs = 0.0
    score = outcome.probabilities[:, label]
    for i, j in product(range(40), range(40)):
        if outcome.target[i] == label != outcome.target[j] and outcome.folds[i] == outcome.folds[j]:
            pair = weight[i] * weight[j]
            pairs += pair
            won += pair * (score[i] > score[j]) + pair * (score[i] == score[j]) / 2
    return won / pairs


@pytest.mark.parametrize("folds", [ONE_FOLD, np.arange(40) % 3])
def test_auc_is_the_share_of_pairs_of_a_fold_that_are_ranked_right(folds: np.ndarray) -> None:
    outcome = binary(folds=folds)
    expected = [slow_auc(outcome, weight) for weight in weights()]
    assert area_under_curve(outcome, weights()) == pytest.approx(expected)


def test_auc_of_many_classes_is_the_mean_of_one_against_the_rest() -> None:
    stream = np.random.default_rng(1)
    target = np.arange(40.0) % 3
    outcome = Outcome(target, target, stream.dirichlet(np.ones(3), 40), np.arange(40) % 2)
    expected = [np.mean([slow_auc(outcome, w, label) for label in range(3)]) for w in weights()]
    assert area_under_curve(outcome, weights()) == pytest.approx(expected)


def test_binary_metrics_agree_with_scikit_learn_under_weights() -> None:
    outcome, score = binary(), binary().probabilities[:, 1]
    for row, weight in enumerate(weights()):
        inside = weight > 0
        truth, sample_weight = outcome.target[inside], weight[inside]
        assert average_precision(outcome, weights())[row] == pytest.approx(
            reference.average_precision_score(truth, score[inside], sample_weight=sample_weight)
        )
        assert balanced_accuracy(outcome, weights())[row] == pytest.approx(
            reference.balanced_accuracy_score(
                truth, outcome.prediction[inside], sample_weight=sample_weight
            )
        )
        assert brier_score(outcome, weights())[row] == pytest.approx(
            reference.brier_score_loss(truth, score[inside], sample_weight=sample_weight)
        )


def test_average_precision_and_brier_score_of_many_classes_agree_with_scikit_learn() -> None:
    stream = np.random.default_rng(1)
    target = np.arange(40) % 3
    # Rounded, so that there are ties.
    said = np.round(stream.dirichlet(np.ones(3), 40) + 0.3 * np.eye(3)[target], 1)
    outcome = Outcome(target * 1.0, target * 1.0, said, ONE_FOLD)
    truth = np.eye(3)[target]
    for row, weight in enumerate(weights()):
        assert average_precision(outcome, weights())[row] == pytest.approx(
            reference.average_precision_score(truth, said, average="macro", sample_weight=weight)
        )
        squares = [
            reference.mean_squared_error(truth[:, label], said[:, label], sample_weight=weight)
            for label in range(3)
        ]
        assert brier_score(outcome, weights())[row] == pytest.approx(sum(squares))


def test_by_chance_average_precision_is_one_over_the_number_of_classes() -> None:
    target = np.array([0.0] * 30 + [1.0] * 7 + [2.0] * 3)
    same = Outcome(target, target, np.tile([0.5, 0.3, 0.2], (40, 1)), ONE_FOLD)
    assert average_precision(same, np.ones((1, 40)))[0] == pytest.approx(1 / 3)


def test_regression_metrics_agree_with_a_sample_that_repeats_each_scan_by_its_weight() -> None:
    outcome = numbers()
    for row, weight in enumerate(weights()):
        repeated = np.repeat(np.arange(40), weight.astype(int))
        truth, guess = outcome.target[repeated], outcome.prediction[repeated]
        slow = {
            mean_absolute_error: reference.mean_absolute_error(truth, guess),
            root_mean_squared_error: reference.root_mean_squared_error(truth, guess),
            correlation: np.corrcoef(truth, guess)[0, 1],
            explained_variance: reference.r2_score(truth, guess),
        }
        for metric, expected in slow.items():
            assert metric(outcome, weights())[row] == pytest.approx(expected), metric.__name__


def test_a_model_that_says_the_same_to_everybody_is_worth_nothing() -> None:
    folds = np.arange(40) % 4
    # The training parts differ, so the constant differs between folds.
    share = np.array([0.3, 0.5, 0.4, 0.45])[folds]
    target = binary().target
    outcome = Outcome(target, np.zeros(40), np.stack([1 - share, share], 1), folds)
    once = np.ones((1, 40))
    assert area_under_curve(outcome, once)[0] == 0.5
    assert average_precision(outcome, once)[0] == pytest.approx(target.mean())
    assert balanced_accuracy(outcome, once)[0] == 0.5
    constant = Outcome(numbers().target, share * 100, np.zeros((40, 0)), folds)
    assert np.isnan(correlation(constant, once)[0])


def test_every_metric_is_perfect_for_perfect_predictions() -> None:
    target = np.arange(40.0) % 2
    perfect = Outcome(target, target, np.stack([1 - target, target], 1), ONE_FOLD, np.full(40, 0.5))
    for kind in ("binary", "regression"):
        for metric in METRICS[kind]:
            best = 1.0 if metric.better == "higher" else 0.0
            assert metric.compute(perfect, np.ones((1, 40)))[0] == pytest.approx(best), metric.name


def test_the_bias_slope_is_that_of_a_regression_of_the_error_on_the_truth() -> None:
    outcome = numbers()
    wrong = outcome.prediction - outcome.target
    for row, weight in enumerate(weights()):
        slope = np.polyfit(outcome.target, wrong, 1, w=np.sqrt(weight))[0]
        assert bias_slope(outcome, weights())[row] == pytest.approx(slope)
    mean = np.full(40, outcome.target.mean())
    constant = Outcome(outcome.target, mean, outcome.probabilities, ONE_FOLD)
    assert bias_slope(constant, np.ones((1, 40)))[0] == pytest.approx(-1)
