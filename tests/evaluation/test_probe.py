from __future__ import annotations

import numpy as np
import pytest

from neurofm.data.targets import Target
from neurofm.evaluation.metrics import area_under_curve, correlation, explained_variance
from neurofm.evaluation.probe import cross_validate, decide

ONCE = np.ones((1, 60))


def task(values: np.ndarray, people: np.ndarray | None = None, classes: int = 0) -> Target:
    people = np.arange(len(values)) if people is None else people
    return Target(
        task="trait",
        kind="regression" if not classes else "binary" if classes == 2 else "multiclass",
        rows=np.arange(len(values)),
        values=values.astype(float),
        classes=tuple("abc"[:classes]),
        participants=people,
        keys=tuple(f"c/{person}" for person in people),
        notes=(),
    )


def test_the_probe_finds_a_linear_trait_among_many_more_features_than_people() -> None:
    stream = np.random.default_rng(0)
    age = stream.uniform(20, 80, 60)
    features = stream.normal(size=(60, 200)) + age[:, None] / 30 * stream.normal(size=200)
    outcome = cross_validate(features, task(age), 5, 0, 0)
    assert explained_variance(outcome, ONCE)[0] > 0.9


def test_the_probe_finds_nothing_in_noise() -> None:
    stream = np.random.default_rng(1)
    features, sex = stream.normal(size=(60, 100)), np.arange(60) % 2
    areas = [
        area_under_curve(cross_validate(features, task(sex, classes=2), 5, 0, repeat), ONCE)[0]
        for repeat in range(3)
    ]
    assert np.mean(areas) == pytest.approx(0.5, abs=0.15)


def test_three_classes_get_probabilities_that_add_up_and_the_right_answer() -> None:
    stream = np.random.default_rng(2)
    site = np.arange(60) % 3
    features = stream.normal(size=(60, 20)) + 3 * np.eye(20)[site]
    outcome = cross_validate(features, task(site, classes=3), 5, 0, 0)
    assert outcome.probabilities.sum(axis=1) == pytest.approx(np.ones(60))
    assert (outcome.prediction == site).mean() > 0.8


def test_two_scans_of_a_person_never_straddle_folds_so_identity_helps_nothing() -> None:
    """Features that name the person only: with scans split apart the trait would be read off."""
    stream = np.random.default_rng(3)
    people = np.repeat(np.arange(30), 2)
    trait = stream.normal(size=30)[people]
    identity = np.eye(30)[people] * 10
    outcome = cross_validate(identity, task(trait, people), 5, 0, 0)
    assert all(len(set(outcome.folds[people == person])) == 1 for person in range(30))
    assert abs(np.nan_to_num(correlation(outcome, ONCE)[0])) < 0.5
    apart = cross_validate(identity, task(trait, np.arange(60)), 5, 0, 0)
    assert correlation(apart, ONCE)[0] > 0.8


@pytest.mark.parametrize("classes", [0, 2])
def test_a_test_scan_changes_no_prediction_but_its_own(classes: int) -> None:
    """Standardisation, the choice of the penalty and the fit see the training part only.

    One scan's features are thrown far out. If anything about it entered the model of its fold, as
    standardising all scans together would, the other scans of that fold would move.
    """
    stream = np.random.default_rng(4)
    values = stream.normal(size=60) if not classes else np.arange(60) % 2
    features = stream.normal(size=(60, 8)) + values[:, None]
    thrown = features.copy()
    thrown[7] += 1000.0
    before = cross_validate(features, task(values, classes=classes), 5, 0, 0)
    after = cross_validate(thrown, task(values, classes=classes), 5, 0, 0)
    same_fold = before.folds == before.folds[7]
    others = same_fold & (np.arange(60) != 7)
    assert np.array_equal(before.folds, after.folds)
    assert np.array_equal(before.prediction[others], after.prediction[others])
    assert np.array_equal(before.probabilities[others], after.probabilities[others])
    assert not np.array_equal(before.prediction[~same_fold], after.prediction[~same_fold]) or (
        not np.array_equal(before.probabilities[~same_fold], after.probabilities[~same_fold])
    )


def test_a_test_label_changes_no_prediction_of_its_fold() -> None:
    stream = np.random.default_rng(5)
    values = np.sort(stream.normal(size=60))
    features = stream.normal(size=(60, 8)) + values[:, None]
    before = cross_validate(features, task(values), 5, 0, 0)
    changed = values.copy()
    changed[-1] += 500.0  # stays the largest, so the folds stay
    after = cross_validate(features, task(changed), 5, 0, 0)
    same_fold = before.folds == before.folds[-1]
    assert np.array_equal(before.folds, after.folds)
    assert np.array_equal(before.prediction[same_fold], after.prediction[same_fold])


def test_repeats_have_other_folds_and_equal_seeds_the_same() -> None:
    values = np.random.default_rng(6).normal(size=60)
    features = values[:, None] + np.random.default_rng(7).normal(size=(60, 4))
    first, again, other = (cross_validate(features, task(values), 5, 0, r) for r in (0, 0, 1))
    assert np.array_equal(first.prediction, again.prediction)
    assert not np.array_equal(first.folds, other.folds)


def test_a_rare_class_is_decided_for_where_it_is_more_likely_than_usual() -> None:
    stream = np.random.default_rng(8)
    rare = (np.arange(60) < 8).astype(float)
    features = stream.normal(size=(60, 3)) + 1.5 * rare[:, None]
    outcome = cross_validate(features, task(rare, classes=2), 4, 0, 0)
    assert outcome.prediction[rare == 1].mean() > 0.7
    assert outcome.prediction[rare == 0].mean() < 0.4


def test_a_class_that_was_not_learnt_is_never_decided_for() -> None:
    """As with a site left out that alone has it."""
    shares = np.array([0.25, 0.0, 0.75])
    probabilities = np.array([[0.2, 0.0, 0.8], [0.4, 0.0, 0.6], [0.25, 0.0, 0.75]])
    assert decide(probabilities, shares).tolist() == [2, 0, 2]
