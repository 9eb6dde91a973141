"""The jackknife against scipy's and statsmodels' answers where these have one, and at its edges."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import pearsonr, ttest_1samp
from scipy.stats import t as students_t
from sklearn.metrics import average_precision_score

from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.jackknife import jackknife_interval
from neurofm.evaluation.metrics import (
    Outcome,
    average_precision,
    bias_slope,
    correlation,
    root_mean_squared_error,
)
from neurofm.evaluation.uncertainty import Interval, wilson_interval


def mean_of(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights @ values / weights.sum(axis=1))


def numbers(count: int, seed: int = 0) -> Outcome:
    stream = np.random.default_rng(seed)
    target = stream.normal(size=count)
    said = 0.6 * target + 0.5 * stream.normal(size=count)
    return Outcome(target, said, np.zeros((count, 0)), np.zeros(count, np.int64))


def test_of_a_mean_it_is_students_interval() -> None:
    values = np.random.default_rng(0).normal(2, 1, 24)
    found = jackknife_interval(
        lambda weights: mean_of(values, weights), np.arange(24), np.zeros(24, int), "as it is", 0.95
    )
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_scans_of_one_participant_are_left_out_together() -> None:
    values = np.random.default_rng(1).normal(size=20)
    doubled = np.repeat(values, 3)
    once, thrice = (
        jackknife_interval(
            lambda weights, each=each: mean_of(each, weights),
            people, 0 * people, "as it is", 0.95,
        )
        for each, people in ((values, np.arange(20)), (doubled, np.repeat(np.arange(20), 3)))
    )  # fmt: skip
    assert (once.low, once.high) == pytest.approx((thrice.low, thrice.high))


def test_the_variance_of_a_slope_is_that_of_leaving_each_out_in_a_regression() -> None:
    """HC3 of statsmodels is the jackknife, but for the mean it is taken about."""
    outcome = numbers(60)
    wrong = outcome.prediction - outcome.target
    fit = sm.OLS(wrong, sm.add_constant(outcome.target)).fit(cov_type="HC3")
    found = jackknife_interval(
        lambda weights: bias_slope(outcome, weights),
        np.arange(60), np.zeros(60, int), "as it is", 0.95,
    )  # fmt: skip
    expected = 2 * students_t.ppf(0.975, 59) * fit.bse[1] * np.sqrt(59 / 60)
    assert found.width == pytest.approx(expected, rel=5e-3)


def test_of_a_correlation_it_is_near_fishers_own_interval() -> None:
    """Exact for normal numbers, as these are."""
    outcome = numbers(400)
    people = np.arange(400)
    found = jackknife_interval(
        lambda weights: correlation(outcome, weights), people, 0 * people, "Fisher's z", 0.95
    )
    fisher = pearsonr(outcome.prediction, outcome.target).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((fisher.low, fisher.high), abs=0.02)


def test_an_average_precision_is_left_out_slowly_with_scikit_learn() -> None:
    stream = np.random.default_rng(2)
    target = np.arange(40) < 12
    score = expit(stream.normal(size=40) + 1.5 * target)
    outcome = Outcome(
        target * 1.0, target * 1.0, np.stack([1 - score, score], 1), np.zeros(40, np.int64)
    )
    found = jackknife_interval(
        lambda weights: average_precision(outcome, weights),
        np.arange(40), target.astype(int), "log odds", 0.95,
    )  # fmt: skip

    def odds(value: float) -> float:
        return float(logit((12 * value + 0.05) / 12.1))

    variance = 0.0
    for of_class in (target, ~target):
        size, without = of_class.sum(), []
        for left_out in np.flatnonzero(of_class):
            weight = np.where(of_class, size / (size - 1), 1.0)
            weight[left_out] = 0
            value = average_precision_score(target, score, sample_weight=weight)
            without.append(odds(float(value)))
        variance += (size - 1) * float(np.var(without))
    centre = odds(float(average_precision_score(target, score)))
    reach = students_t.ppf(0.975, 11) * np.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((expit(centre - reach), expit(centre + reach)))


def test_of_many_participants_groups_are_left_out_with_nearly_the_same_answer() -> None:
    values = np.random.default_rng(4).normal(size=1530)
    people = np.arange(1530)
    found = jackknife_interval(
        lambda weights: mean_of(values, weights), people, 0 * people, "as it is", 0.95
    )
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.width == pytest.approx(high - low, rel=0.15)
    rows = [0]
    jackknife_interval(
        lambda weights: (rows.append(len(weights)), mean_of(values, weights))[1],
        people, 0 * people, "as it is", 0.95,
    )  # fmt: skip
    assert sum(rows) == 201


def test_leaving_out_changes_no_share_of_the_classes() -> None:
    """What is the same for everybody of a class has no spread, though the classes differ."""
    strata = (np.arange(230) < 15) * 1
    found = jackknife_interval(
        lambda weights: mean_of(strata + 1.0, weights), np.arange(230), strata, "log", 0.95
    )
    assert found.width == pytest.approx(0, abs=1e-9)


def test_a_perfect_average_precision_has_wilsons_interval_of_the_smallest_class() -> None:
    target = (np.arange(30) < 12) * 1.0
    outcome = Outcome(target, target, np.stack([1 - target, target], 1), np.zeros(30, np.int64))
    found = jackknife_interval(
        lambda weights: average_precision(outcome, weights),
        np.arange(30), target.astype(int), "log odds", 0.95,
    )  # fmt: skip
    assert found == wilson_interval(1.0, 12, 0.95)


@pytest.mark.parametrize("count", [1, 12])
def test_what_has_no_answer_on_the_scale_is_unknown(count: int) -> None:
    """An error of nothing at all, or one participant."""
    target = np.arange(count) * 1.0
    outcome = Outcome(target, target, np.zeros((count, 0)), np.zeros(count, np.int64))
    found = jackknife_interval(
        lambda weights: root_mean_squared_error(outcome, weights),
        np.arange(count), np.zeros(count, int), "log", 0.95,
    )  # fmt: skip
    assert np.isnan([found.low, found.high]).all()


def test_intervals_of_fifteen_people_hold_the_truth_about_as_often_as_they_say() -> None:
    stream, held = np.random.default_rng(6), np.zeros(2)
    for _ in range(300):
        people = np.repeat(np.arange(15), stream.integers(1, 4, 15))
        target = stream.normal(size=15)[people]
        noise = 0.8 * stream.normal(size=15)[people] + 0.6 * stream.normal(size=len(people))
        outcome = Outcome(
            target, 0.5 * target + 0.5 * noise, np.zeros((len(people), 0)), 0 * people
        )
        ends: list[Interval] = [
            jackknife_interval(
                lambda weights, metric=metric: metric(outcome, weights),  # noqa: B023 - used at once
                people, 0 * people, scale, 0.95,
            )
            for metric, scale in ((root_mean_squared_error, "log"), (correlation, "Fisher's z"))
        ]  # fmt: skip
        held += [
            interval.low <= true <= interval.high
            for interval, true in zip(ends, (np.sqrt(0.5), np.sqrt(0.5)), strict=True)
        ]
    assert participant_weights(np.array([0, 0, 1])).tolist() == [0.5, 0.5, 1.0]
    assert (held / 300 >= 0.90).all()
    assert (held / 300 <= 0.985).all()
