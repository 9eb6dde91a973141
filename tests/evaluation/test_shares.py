"""Intervals of shares: Wilson's where participants have one scan, narrower by several, together."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from neurofm.evaluation.metrics import Outcome, accuracy, balanced_accuracy
from neurofm.evaluation.shares import is_share, share_interval


def outcome(target: np.ndarray, right: np.ndarray, classes: int = 2) -> Outcome:
    """The next class is said where a scan is wrong; the most probable one is that, too."""
    said = np.where(right, target, (target + 1) % classes)
    return Outcome(
        target * 1.0, said * 1.0, np.eye(classes)[said], 0 * target, np.full(len(target), 0.5)
    )


def test_with_one_scan_each_sensitivity_and_specificity_have_wilsons_interval() -> None:
    target = np.repeat([1, 0], [12, 30])
    right = np.concatenate([np.arange(12) < 9, np.arange(30) < 22])
    for metric, found, people in (("sensitivity", 9, 12), ("specificity", 22, 30)):
        interval = share_interval(metric, [outcome(target, right)], np.arange(42), 0.95)
        expected = proportion_confint(found, people, 0.05, method="wilson")
        assert (interval.low, interval.high) == pytest.approx(expected)


def test_balanced_accuracy_puts_classes_together_as_newcombe_does() -> None:
    """Of two shares p and q, p + q is p - (1 - q): statsmodels has the interval of a difference."""
    target = np.repeat([1, 0], [15, 60])
    right = np.concatenate([np.arange(15) < 11, np.arange(60) < 52])
    one = outcome(target, right)
    interval = share_interval("balanced accuracy", [one], np.arange(75), 0.95)
    low, high = confint_proportions_2indep(11, 15, 8, 60, method="newcomb", compare="diff")
    assert (interval.low, interval.high) == pytest.approx(((1 + low) / 2, (1 + high) / 2))
    value = balanced_accuracy(one, np.ones((1, 75)))[0]
    assert interval.low < value < interval.high


def test_accuracy_weighs_classes_by_their_participants() -> None:
    target = np.repeat([0, 1, 2], [10, 20, 70])
    right = np.random.default_rng(0).random(100) < 0.7
    one = outcome(target, right, 3)
    interval = share_interval("accuracy", [one], np.arange(100), 0.95)
    shares, sizes = np.array([right[target == k].mean() for k in range(3)]), np.array([10, 20, 70])
    ends = np.array(
        [proportion_confint(right[target == k].sum(), sizes[k], 0.05, "wilson") for k in range(3)]
    )
    below, above = (np.sqrt(((sizes / 100 * gap) ** 2).sum()) for gap in (ends.T - shares))
    value = accuracy(one, np.ones((1, 100)))[0]
    assert value == pytest.approx(right.mean())
    assert (interval.low, interval.high) == pytest.approx((value - below, value + above))


def test_scans_that_agree_add_nothing_and_those_that_do_not_add_at_most_their_number() -> None:
    target, people = np.ones(40, int), np.repeat(np.arange(20), 2)
    once = share_interval(
        "sensitivity", [outcome(np.ones(20, int), np.arange(20) < 15)], np.arange(20), 0.95
    )
    alike = share_interval("sensitivity", [outcome(target, people < 15)], people, 0.95)
    assert (alike.low, alike.high) == pytest.approx((once.low, once.high))
    mixed = np.arange(40) % 4 < 3  # ten are right on both scans, ten on one
    apart = share_interval("sensitivity", [outcome(target, mixed)], people, 0.95)
    scans = proportion_confint(30, 40, 0.05, method="wilson")
    assert apart.low == pytest.approx(scans[0])
    assert once.low < apart.low


def test_without_a_threshold_or_a_class_there_is_none() -> None:
    target = np.ones(12, int)
    one = Outcome(target * 1.0, target * 1.0, np.eye(2)[target], 0 * target)
    assert np.isnan(share_interval("sensitivity", [one], np.arange(12), 0.95).low)
    all_ill = outcome(target, target == 1)
    assert np.isnan(share_interval("specificity", [all_ill], np.arange(12), 0.95).low)


def test_only_shares_are_shares() -> None:
    names = ("balanced accuracy", "accuracy", "sensitivity", "specificity", "AUC", "MAE")
    assert [is_share(name) for name in names] == [True] * 4 + [False] * 2
