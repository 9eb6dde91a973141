from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as reference
from scipy.stats import norm, ttest_1samp
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from neurofm.evaluation.uncertainty import (
    bootstrap,
    compare,
    holm,
    percentile_interval,
    resample_weights,
    wilson_interval,
)


def means(values: np.ndarray, people: np.ndarray, seed: int, resamples: int = 400) -> np.ndarray:
    strata = np.zeros(len(values), dtype=np.int64)
    draws = resample_weights(people, strata, resamples, np.random.default_rng(seed))
    return bootstrap(lambda weights: weights @ values / weights.sum(axis=1), draws)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    stream = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        resampled = means(stream.normal(3.0, 2.0, 40), np.arange(40), trial)
        interval = percentile_interval(resampled, 0.95)
        hits += interval.low <= 3.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_repeating_every_scan_does_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).normal(size=30)
    once = percentile_interval(means(values, np.arange(30), 5), 0.95)
    ten_scans_each = percentile_interval(
        means(np.repeat(values, 10), np.repeat(np.arange(30), 10), 5), 0.95
    )
    assert ten_scans_each.width == pytest.approx(once.width, rel=1e-9)


def test_every_resample_keeps_the_class_sizes() -> None:
    classes = np.repeat([0, 1], [25, 5])
    draws = list(resample_weights(np.arange(30), classes, 600, np.random.default_rng(0)))
    weights = np.concatenate(draws)
    assert weights.shape == (600, 30)
    assert (weights[:, classes == 1].sum(axis=1) == 5).all()
    assert (weights[:, classes == 0].sum(axis=1) == 25).all()


def test_holm_of_a_case_worked_by_hand() -> None:
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, never falling: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_has_no_p_value() -> None:
    adjusted = holm([0.02, float("nan"), 0.9])
    assert adjusted[0] == pytest.approx(0.04)
    assert np.isnan(adjusted[1])
    assert adjusted[2] == pytest.approx(0.9)


def test_a_clear_gain_has_a_small_p_and_none_has_a_large_one() -> None:
    stream = np.random.default_rng(2)
    clear = compare(1.0, stream.normal(1.0, 0.1, 2000), 0.95)
    assert clear.p == pytest.approx(2 * norm.sf(10), rel=0.9)
    assert clear.interval.low > 0
    assert compare(0.0, stream.normal(0.0, 0.1, 2000), 0.95).p > 0.8


def test_beyond_what_resamples_show_p_is_near_that_of_a_t_test() -> None:
    """24 people and a gain of four to six standard errors: fewer than one resample in 2,000."""
    stream = np.random.default_rng(3)
    for shift in (0.8, 1.0, 1.2):
        gains = stream.normal(0, 1, 24)
        gains = (gains - gains.mean()) / gains.std() + shift
        resampled = gains[stream.integers(0, 24, (2000, 24))].mean(axis=1)
        ours, theirs = compare(shift, resampled, 0.95, people=24).p, ttest_1samp(gains, 0).pvalue
        assert ours < 2 / 2001
        assert 0.25 < ours / theirs < 4


def test_a_resample_without_a_value_gives_no_interval() -> None:
    assert np.isnan(percentile_interval(np.array([0.1, np.nan, 0.3]), 0.95).low)


def test_few_participants_widen_an_interval_by_as_much_as_students_t() -> None:
    """Of normal resamples: 2.262 standard errors with the unbiased variance for ten people."""
    values = norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    expanded = percentile_interval(values, 0.95, people=10)
    assert expanded.high == pytest.approx(2.262 * np.sqrt(10 / 9), abs=0.01)
    assert percentile_interval(values, 0.95, people=10**6).high == pytest.approx(1.96, abs=0.01)


def test_a_paired_test_of_few_participants_is_about_that_of_student() -> None:
    """Against scipy's, for differences whose mean is resampled."""
    differences = np.random.default_rng(3).normal(0.6, 1.0, 12)
    resampled = means(differences, np.arange(12), 4, 20_000)
    found = compare(float(differences.mean()), resampled, 0.95, people=12)
    exact = ttest_1samp(differences, 0.0)
    assert found.p == pytest.approx(exact.pvalue, abs=0.01)
    low, high = exact.confidence_interval(0.95)
    assert found.interval.low == pytest.approx(low, abs=0.08)
    assert found.interval.high == pytest.approx(high, abs=0.08)


def test_wilsons_interval_is_that_of_statsmodels() -> None:
    for found, people in ((0, 12), (3, 12), (12, 12), (40, 90)):
        interval = wilson_interval(found / people, people, 0.95)
        expected = proportion_confint(found, people, 0.05, method="wilson")
        assert (interval.low, interval.high) == pytest.approx(expected)


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(0).uniform(0, 0.2, 15)
    assert holm(list(p)) == pytest.approx(multipletests(p, method="holm")[1])


def test_the_bootstrap_of_means_is_that_of_scipy_within_its_own_chance() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=40)
    ours = percentile_interval(means(values, np.arange(40), 2, 20_000), 0.95)
    theirs = reference(
        (values,), np.mean, n_resamples=20_000, method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval  # fmt: skip
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)
