from __future__ import annotations

import numpy as np
import pytest

from neurofm.evaluation.uncertainty import (
    bootstrap,
    compare,
    holm,
    percentile_interval,
    resample_weights,
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
    assert clear.p == pytest.approx(2 / 2001)
    assert clear.interval.low > 0
    assert compare(0.0, stream.normal(0.0, 0.1, 2000), 0.95).p > 0.8


def test_a_resample_without_a_value_gives_no_interval() -> None:
    assert np.isnan(percentile_interval(np.array([0.1, np.nan, 0.3]), 0.95).low)
