"""Calibration against statsmodels and scikit-learn, and by what it should say of known models."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import t as students_t
from sklearn.calibration import calibration_curve as reference

from neurofm.evaluation.calibration import calibration_curve, calibration_error, calibration_line
from neurofm.evaluation.metrics import Outcome


def outcome(target: np.ndarray, score: np.ndarray) -> Outcome:
    score = np.asarray(score, dtype=float)
    target = np.asarray(target, dtype=float)
    return Outcome(target, target, np.stack([1 - score, score], 1), np.zeros(len(target), int))


def drawn(seed: int, count: int = 120, sharper: float = 1.0, shift: float = 0.0) -> Outcome:
    """Predictions that are right for 1 and 0, too extreme for `sharper` above 1."""
    stream = np.random.default_rng(seed)
    odds = stream.normal(-0.5, 1.2, count)
    return outcome(stream.random(count) < expit(odds), expit(sharper * odds + shift))


def test_intercept_and_slope_are_the_regressions_of_statsmodels() -> None:
    one, people = drawn(0), np.arange(120)
    odds = logit(one.probabilities[:, 1])
    level = sm.GLM(one.target, np.ones(120), family=sm.families.Binomial(), offset=odds)
    line = sm.GLM(one.target, sm.add_constant(odds), family=sm.families.Binomial())
    fit = line.fit(cov_type="HC0")
    intercept, slope = calibration_line([one], people, 0.95)
    assert intercept.repeats[0] == pytest.approx(level.fit().params[0], abs=1e-6)
    assert slope.repeats[0] == pytest.approx(fit.params[1], abs=1e-6)
    smaller = min(one.target.sum(), 120 - one.target.sum())
    for line, spread, counted in ((intercept, level.fit(cov_type="HC0").bse[0], 120),
                                  (slope, fit.bse[1], smaller)):  # fmt: skip
        half = (line.interval.high - line.interval.low) / 2
        reach = students_t.ppf(0.975, counted - 1)
        assert half == pytest.approx(reach * spread * np.sqrt(120 / 119), rel=1e-3)


def test_scans_of_one_participant_are_one_cluster() -> None:
    one, twice = drawn(1), np.repeat(np.arange(120), 2)
    doubled = outcome(np.repeat(one.target, 2), np.repeat(one.probabilities[:, 1], 2))
    for many, single in zip(
        calibration_line([doubled], twice, 0.95),
        calibration_line([one], np.arange(120), 0.95),
        strict=True,
    ):
        assert many.repeats == pytest.approx(single.repeats)
        assert many.interval.low == pytest.approx(single.interval.low)


def test_too_extreme_predictions_have_a_slope_below_1_and_too_high_ones_an_intercept_below_0() -> (
    None
):
    count = 20_000
    people = np.arange(count)
    _, slope = calibration_line([drawn(2, count, sharper=2.0)], people, 0.95)
    assert slope.repeats[0] == pytest.approx(0.5, abs=0.03)
    intercept, _ = calibration_line([drawn(2, count, shift=0.7)], people, 0.95)
    assert intercept.repeats[0] == pytest.approx(-0.7, abs=0.05)


def test_the_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    hits = np.zeros(2)
    for trial in range(300):
        lines = calibration_line([drawn(100 + trial)], np.arange(120), 0.95)
        hits += [
            line.interval.low <= true <= line.interval.high
            for line, true in zip(lines, (0.0, 1.0), strict=True)
        ]
    assert (hits / 300 >= 0.92).all()
    assert (hits / 300 <= 0.98).all()


@pytest.mark.parametrize("score", [np.full(40, 0.3), np.arange(40) / 40])
def test_a_line_that_has_no_end_is_unknown(score: np.ndarray) -> None:
    """The same said of everybody, or the classes told apart without an error."""
    _, slope = calibration_line([outcome(np.arange(40) >= 20, score)], np.arange(40), 0.95)
    assert np.isnan(slope.repeats).all()
    assert np.isnan(slope.interval.low)


def test_one_class_has_no_line() -> None:
    """Case 83."""
    intercept, slope = calibration_line([outcome(np.ones(20), np.arange(20) / 20)], np.arange(20),
                                        0.95)  # fmt: skip
    assert np.isnan([intercept.repeats[0], slope.repeats[0]]).all()


def test_the_curve_is_that_of_scikit_learn() -> None:
    one = drawn(3)
    curve = calibration_curve([one], np.arange(120), 0.95)
    observed, predicted = reference(
        one.target, one.probabilities[:, 1], n_bins=10, strategy="quantile"
    )
    assert curve["observed"].to_numpy() == pytest.approx(observed)
    assert curve["predicted"].to_numpy() == pytest.approx(predicted)
    assert curve["participants"].tolist() == [12] * 10
    assert (curve["low"] < curve["observed"] + 1e-9).all()
    assert (curve["high"] > curve["observed"] - 1e-9).all()


def of_three_classes(count: int = 120) -> Outcome:
    stream = np.random.default_rng(5)
    target = stream.integers(0, 3, count)
    said = stream.dirichlet(np.ones(3), count)
    return Outcome(target * 1.0, target * 1.0, said, np.zeros(count, int))


def test_of_many_classes_each_has_a_curve_against_the_rest_as_scikit_learn_draws_it() -> None:
    one = of_three_classes()
    for label in range(3):
        curve = calibration_curve([one], np.arange(120), 0.95, label)
        observed, predicted = reference(
            one.target == label, one.probabilities[:, label], n_bins=10, strategy="quantile"
        )
        assert curve["observed"].to_numpy() == pytest.approx(observed)
        assert curve["predicted"].to_numpy() == pytest.approx(predicted)


def test_the_error_of_many_classes_is_the_mean_gap_of_their_curves() -> None:
    one = of_three_classes()
    curves = [calibration_curve([one], np.arange(120), 0.95, label) for label in range(3)]
    expected = np.mean([np.abs(each["observed"] - each["predicted"]).mean() for each in curves])
    assert calibration_error(one, np.ones((1, 120)))[0] == pytest.approx(expected)


def test_the_error_is_the_mean_gap_of_the_curve() -> None:
    one = drawn(3)
    curve = calibration_curve([one], np.arange(120), 0.95)
    expected = np.abs(curve["observed"] - curve["predicted"]).mean()
    assert calibration_error(one, np.ones((1, 120)))[0] == pytest.approx(expected)


def test_a_bin_has_ten_participants_at_least() -> None:
    one = drawn(4, 35)
    assert len(calibration_curve([one], np.arange(35), 0.95)) == 3
    twice = outcome(np.repeat(one.target, 2), np.repeat(one.probabilities[:, 1], 2))
    curve = calibration_curve([twice, twice], np.repeat(np.arange(35), 2), 0.95)
    assert curve["participants"].sum() == 35
