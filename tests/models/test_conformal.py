"""Intervals and sets hold the truth of new people as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurofm.models.conformal import (
    class_sets,
    common_limit,
    conformity_errors,
    fewest_scores,
    score_limit,
)
from neurofm.models.head import HeadCard

AGE = HeadCard(target="age_years", kind="regression")
STAGE = HeadCard(target="diagnosis", kind="multiclass", classes=("H", "MCI", "AD"))


def test_the_limit_is_the_order_statistic_of_the_formula() -> None:
    assert score_limit([3.0, 1.0, 2.0], 0.5) == 2.0
    assert score_limit([float(n) for n in range(1, 10)], 0.9) == 9
    assert score_limit([1.0] * 8, 0.9) == math.inf
    assert score_limit([], 0.5) == math.inf


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_fewest_people_of_a_level_are_just_enough(level: float) -> None:
    fewest = fewest_scores(level)
    assert math.isfinite(score_limit([1.0] * fewest, level))
    assert score_limit([1.0] * (fewest - 1), level) == math.inf


@pytest.mark.parametrize("people", [12, 40, 200])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_cover_as_often_as_they_say(people: int, level: float) -> None:
    """At least `level`, and no more than 1 / (n + 1) above; skewed errors, 2,000 repeats."""
    stream = np.random.default_rng(people)
    errors = np.abs(stream.exponential(size=(2000, people + 1)) - 1)
    covered = np.mean([row[-1] <= score_limit(row[:-1].tolist(), level) for row in errors])
    assert level - 0.02 < covered < level + 1 / (people + 1) + 0.02


def test_sets_of_classes_cover_as_often_as_they_say() -> None:
    """Probabilities that are wrong on purpose: sets are right all the same."""
    stream, covered, sizes = np.random.default_rng(0), [], []
    for _ in range(1000):
        right = stream.dirichlet(np.ones(3), 41)
        known = np.array([stream.choice(3, p=row) for row in right]).astype(float)
        said = right**3 / (right**3).sum(axis=1, keepdims=True)
        scores = conformity_errors(known[:-1], said[:-1], STAGE)
        (found,) = class_sets(said[-1:], score_limit(scores.tolist(), 0.9))
        covered.append(int(known[-1]) in found)
        sizes.append(len(found))
    assert 0.9 - 0.025 < np.mean(covered) < 0.9 + 0.05
    assert 1 < np.mean(sizes) < 3


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["normal", "heavy tails"])
def test_the_mean_of_an_ensemble_keeps_to_the_mean_limit(shared: float, kind: str) -> None:
    """Three members, 40 people; tails of Student's t with 3 degrees of freedom."""
    stream, covered = np.random.default_rng(1), []
    for _ in range(1000):
        errors = _draw(stream, kind, (3, 41)) * np.sqrt(1 - shared)
        errors = errors + _draw(stream, kind, (1, 41)) * np.sqrt(shared)
        heads = [_with_scores(np.abs(row[:-1])) for row in errors]
        covered.append(abs(errors[:, -1].mean()) <= common_limit(heads, 0.9))
    assert np.mean(covered) > 0.9 - 0.02


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_members_with_scores_of_the_same_people_cover_as_often_as_they_say(
    shared: float, level: float
) -> None:
    """Three members, 40 people: at least `level`, no more than 1 / 41 above; 2,000 repeats."""
    stream, covered, narrower = np.random.default_rng(2), [], []
    for _ in range(2000):
        errors = stream.normal(size=(3, 41)) * np.sqrt(1 - shared)
        errors = errors + stream.normal(size=41) * np.sqrt(shared)
        heads = [_with_scores(row[:-1], "the same") for row in errors]
        limit = common_limit(heads, level)
        covered.append(abs(errors[:, -1].mean()) <= limit)
        narrower.append(limit / common_limit([_with_scores(row[:-1]) for row in errors], level))
    assert level - 0.02 < np.mean(covered) < level + 1 / 41 + 0.02
    assert np.mean(narrower) < 1


def test_the_errors_of_a_mean_are_the_mean_of_the_errors() -> None:
    stream = np.random.default_rng(0)
    ages, said = stream.normal(50, 20, 9), stream.normal(50, 20, (2, 9, 1))
    classes, shares = stream.integers(0, 3, 9).astype(float), stream.dirichlet(np.ones(3), (2, 9))
    for known, each, head in ((ages, said, AGE), (classes, shares, STAGE)):
        together = conformity_errors(known, each.mean(axis=0), head)
        apart = np.mean([conformity_errors(known, one, head) for one in each], axis=0)
        assert together == pytest.approx(apart)


def test_scores_of_other_people_or_in_no_known_order_are_not_averaged_one_by_one() -> None:
    up, down = np.arange(1.0, 20.0), np.arange(19.0, 0.0, -1)
    same = [_with_scores(up, "a"), _with_scores(down, "a")]
    assert common_limit(same, 0.9) == 10
    for heads in (
        [_with_scores(up, "a"), _with_scores(down, "b")],
        [_with_scores(up), _with_scores(down)],
        [_with_scores(up, "a"), _with_scores(down[:18], "a")],
    ):
        assert common_limit(heads, 0.9) >= 18


def test_a_member_without_enough_people_leaves_no_limit() -> None:
    many, few = _with_scores(np.arange(20.0)), _with_scores(np.arange(5.0))
    assert common_limit([many, few], 0.9) == math.inf
    assert common_limit([many, AGE], 0.9) == math.inf


def test_the_likeliest_class_is_always_in_the_set() -> None:
    assert class_sets(np.array([[0.4, 0.35, 0.25]]), 0.1) == [(0,)]
    assert class_sets(np.array([[0.4, 0.35, 0.25]]), 0.65) == [(0, 1)]
    assert class_sets(np.array([[0.4, 0.35, 0.25]]), math.inf) == [(0, 1, 2)]


def _draw(stream: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    return stream.normal(size=shape) if kind == "normal" else stream.standard_t(3, size=shape)


def _with_scores(scores: np.ndarray, people: str = "") -> HeadCard:
    kept = {"validation_scores": tuple(scores.tolist()), "validation_people": people}
    return AGE.model_copy(update=kept)
