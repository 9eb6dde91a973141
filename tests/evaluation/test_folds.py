from __future__ import annotations

import numpy as np
import pytest

from neurofm.data.targets import quantile_strata
from neurofm.evaluation.folds import participant_folds, participant_weights


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    people = np.sort(np.random.default_rng(seed).integers(0, 53, 140))
    people = np.unique(people, return_inverse=True)[1]
    strata = people % 3 // 2  # a third of the people in the rarer stratum
    folds = participant_folds(people, strata, 5, np.random.default_rng(seed))
    return people, strata, folds


@pytest.mark.parametrize("seed", range(5))
def test_no_participant_is_in_two_folds(seed: int) -> None:
    people, _, folds = draw(seed)
    assert all(len(set(folds[people == person])) == 1 for person in set(people))


@pytest.mark.parametrize("seed", range(5))
def test_folds_and_strata_in_them_differ_by_one_participant_at_most(seed: int) -> None:
    people, strata, folds = draw(seed)
    for chosen in (strata >= 0, strata == 0, strata == 1):
        sizes = [len(set(people[chosen & (folds == fold)])) for fold in range(5)]
        assert max(sizes) - min(sizes) <= 1


def test_equal_streams_give_equal_folds_and_others_do_not() -> None:
    assert np.array_equal(draw(1)[2], draw(1)[2])
    people, strata, folds = draw(1)
    other = participant_folds(people, strata, 5, np.random.default_rng(99))
    assert not np.array_equal(folds, other)


def test_quantiles_hold_equal_numbers() -> None:
    strata = quantile_strata(np.random.default_rng(0).normal(size=100), 5)
    assert np.bincount(strata).tolist() == [20] * 5


def test_every_participant_weighs_one() -> None:
    people = np.array([0, 0, 0, 1, 2, 2])
    assert np.bincount(people, participant_weights(people)).tolist() == [1, 1, 1]
