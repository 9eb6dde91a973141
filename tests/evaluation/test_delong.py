"""DeLong's variance against the definition, pair by pair; intervals and tests at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from neurofm.evaluation.delong import AreaParts, area_parts, delong_interval, delong_test
from neurofm.evaluation.delong import delong_variance as variance
from neurofm.evaluation.metrics import Outcome, area_under_curve


def outcome(target: np.ndarray, score: np.ndarray, folds: np.ndarray | None = None) -> Outcome:
    folds = np.zeros(len(target), np.int64) if folds is None else folds
    return Outcome(
        target.astype(float), (score > 0.5) * 1.0, np.stack([1 - score, score], 1), folds
    )


def drawn(seed: int, positives: int = 9, negatives: int = 14) -> Outcome:
    """Scores with one decimal, so that some are equal."""
    stream = np.random.default_rng(seed)
    target = np.arange(positives + negatives) < positives
    return outcome(target, np.round(stream.uniform(0, 0.7, len(target)) + 0.3 * target, 1))


def parts_of(repeats: list[Outcome], people: np.ndarray) -> AreaParts:
    found = area_parts(repeats, people)
    assert found is not None
    return found


def wins(one: Outcome) -> np.ndarray:
    """A row for each positive scan, a column for each negative one."""
    score, yes = one.probabilities[:, 1], one.target == 1
    ahead = score[yes][:, None] - score[~yes][None, :]
    return np.asarray((ahead > 0) + 0.5 * (ahead == 0))


def slow_covariance(one: Outcome, other: Outcome) -> float:
    """DeLong, DeLong and Clarke-Pearson 1988, equations 4 to 6."""
    first, second = wins(one), wins(other)
    above = np.cov(first.mean(axis=1), second.mean(axis=1))[0, 1] / first.shape[0]
    return float(above + np.cov(first.mean(axis=0), second.mean(axis=0))[0, 1] / first.shape[1])


def slow_clustered(one: Outcome, people: np.ndarray) -> float:
    """Obuchowski 1997, sums over clusters; every scan weighs one."""
    won, yes = wins(one), one.target == 1
    area, count = won.mean(), len(np.unique(people))
    above, below = np.zeros(count), np.zeros(count)
    for person in range(count):
        above[person] = (won.mean(axis=1) - area)[people[yes] == person].sum()
        below[person] = (won.mean(axis=0) - area)[people[~yes] == person].sum()
    with_yes, with_no = len(set(people[yes])), len(set(people[~yes]))
    rows, columns = won.shape
    return float(
        with_yes / (with_yes - 1) * (above**2).sum() / rows**2
        + with_no / (with_no - 1) * (below**2).sum() / columns**2
        + 2 * count / (count - 1) * (above * below).sum() / (rows * columns)
    )


def test_the_area_is_the_metric_with_folds_and_several_scans() -> None:
    stream = np.random.default_rng(0)
    people, folds = np.arange(23) // 2, (np.arange(23) // 2) % 3
    repeats = [
        outcome(drawn(0).target, np.round(stream.uniform(0, 1, 23), 1), folds) for _ in range(2)
    ]
    weights = 1.0 / np.bincount(people)[people][None, :]
    expected = np.mean([area_under_curve(each, weights)[0] for each in repeats])
    assert parts_of(repeats, people).area == pytest.approx(expected)


def test_with_one_scan_a_participant_the_variance_is_delongs() -> None:
    one, people = drawn(1), np.arange(23)
    assert variance(parts_of([one], people)) == pytest.approx(slow_covariance(one, one))


def test_with_several_scans_the_variance_is_obuchowskis() -> None:
    """Two scans of everybody: some have one of each class."""
    stream = np.random.default_rng(3)
    target = np.array([1, 1, 1, 0, 0, 0] * 4)
    people = np.repeat(np.arange(12), 2)
    one = outcome(target, np.round(stream.uniform(0, 0.8, 24) + 0.2 * target, 1))
    assert variance(parts_of([one], people)) == pytest.approx(slow_clustered(one, people))


def test_repeating_every_scan_changes_nothing() -> None:
    one = drawn(4)
    ten = outcome(np.repeat(one.target, 10), np.repeat(one.probabilities[:, 1], 10))
    many = parts_of([ten], np.repeat(np.arange(23), 10))
    single = parts_of([one], np.arange(23))
    assert variance(many) == pytest.approx(variance(single))
    assert delong_interval(many, 0.95).low == pytest.approx(delong_interval(single, 0.95).low)


def test_the_paired_test_takes_the_covariance_into_account() -> None:
    one, other = drawn(5, 40, 60), drawn(6, 40, 60)
    people = np.arange(100)
    found = delong_test(parts_of([one], people), parts_of([other], people), 0.95)
    gain = wins(one).mean() - wins(other).mean()
    spread = np.sqrt(
        slow_covariance(one, one) + slow_covariance(other, other) - 2 * slow_covariance(one, other)
    )
    assert found.gain == pytest.approx(gain)
    assert found.p == pytest.approx(2 * norm.sf(abs(gain) / spread), abs=0.01)
    assert found.interval.high - found.gain == pytest.approx(1.96 * spread, rel=0.02)


def test_a_model_against_itself_is_no_better() -> None:
    parts = parts_of([drawn(7)], np.arange(23))
    found = delong_test(parts, parts, 0.95)
    assert (found.gain, found.p) == (0.0, 1.0)


def test_classes_told_apart_without_an_error_have_an_interval_as_well() -> None:
    target = np.arange(30) < 15
    perfect = parts_of([outcome(target, target * 0.8)], np.arange(30))
    interval = delong_interval(perfect, 0.95)
    assert interval.high == 1.0
    assert 0.7 < interval.low < 0.95
    worst = parts_of([outcome(target, ~target * 0.8)], np.arange(30))
    assert delong_interval(worst, 0.95).high == pytest.approx(1 - interval.low)
    none = parts_of([outcome(target, np.full(30, 0.4))], np.arange(30))
    assert np.isnan(delong_test(perfect, none, 0.95).p)


def test_of_many_participants_the_interval_is_the_plain_one() -> None:
    one = drawn(8, 900, 1100)
    parts = parts_of([one], np.arange(2000))
    interval, spread = delong_interval(parts, 0.95), np.sqrt(variance(parts))
    assert interval.low == pytest.approx(parts.area - 1.96 * spread, abs=0.002)
    assert interval.high == pytest.approx(parts.area + 1.96 * spread, abs=0.002)


def test_one_participant_of_a_class_has_no_interval() -> None:
    """Case 83."""
    assert area_parts([drawn(9, 1, 10)], np.arange(11)) is None
    assert area_parts([drawn(9, 0, 10)], np.arange(10)) is None


@pytest.mark.parametrize("positives", [2, 15])
def test_scores_that_are_all_equal_have_an_area_of_a_half(positives: int) -> None:
    target = np.arange(40) < positives
    parts = parts_of([outcome(target, np.full(40, 0.2))], np.arange(40))
    assert parts.area == 0.5
    interval = delong_interval(parts, 0.95)
    assert (interval.low, interval.high) == (0.5, 0.5)
