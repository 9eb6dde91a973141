"""A share of a task's training part: nested, alike in every class, the other parts untouched."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION, task_roles
from neurofm.config.preparation import SplitConfig

_FRACTIONS = (0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.fixture
def frame() -> pd.DataFrame:
    """Sixty people, each scanned once or twice, a third of them ill."""
    people = [number for number in range(60) for _ in range(1 + number % 2)]
    return pd.DataFrame(
        {
            "scan_id": [f"scan{place}" for place in range(len(people))],
            "cohort": "C",
            "participant_id": [f"sub-{number:02d}" for number in people],
            "split": None,
            "sha256": None,
            "ill": [number % 3 == 0 for number in people],
        }
    )


def _roles(frame: pd.DataFrame, fraction: float, **other: int) -> pd.Series:
    return task_roles(frame, frame["ill"], SplitConfig(task_train_fraction=fraction, **other))


def test_a_smaller_share_is_part_of_a_larger_and_the_other_parts_stay(frame: pd.DataFrame) -> None:
    shares = [_roles(frame, fraction) for fraction in _FRACTIONS]
    for smaller, larger in itertools.pairwise(shares):
        assert set(smaller.index[smaller == TRAIN]) < set(larger.index[larger == TRAIN])
        for role in (VALIDATION, TEST):
            assert smaller.index[smaller == role].equals(larger.index[larger == role])


def test_shares_count_people_and_hold_classes_alike(frame: pd.DataFrame) -> None:
    for fraction in _FRACTIONS:
        people = frame[_roles(frame, fraction) == TRAIN].drop_duplicates("participant_id")
        assert len(people) == round(36 * fraction)
        assert people["ill"].mean() == pytest.approx(1 / 3, abs=0.07)


def test_sites_and_ages_are_alike_in_all_parts(frame: pd.DataFrame) -> None:
    """As far as the classes let them: of 60 people at three sites, 12 are tested."""
    number = frame["participant_id"].str[4:].astype(int)
    aged = frame.assign(site=[f"S{each // 3 % 3}" for each in number], age_years=20.0 + number)
    roles = _roles(aged, 1.0)
    people = aged.assign(role=roles).drop_duplicates("participant_id").groupby("role")
    shares = people["site"].value_counts(normalize=True)
    assert shares.between(1 / 3 - 0.17, 1 / 3 + 0.17).all()
    assert people["age_years"].mean().between(49.5 - 5, 49.5 + 5).all()
    assert people["ill"].mean().between(1 / 3 - 0.1, 1 / 3 + 0.1).all()


def test_a_person_is_taken_with_all_scans(frame: pd.DataFrame) -> None:
    roles = _roles(frame, 0.4)
    of_person = roles.fillna("none").groupby(frame["participant_id"]).nunique()
    assert of_person.max() == 1


def test_the_draw_follows_the_seed_and_not_the_order_of_rows(frame: pd.DataFrame) -> None:
    roles = _roles(frame, 0.2)
    shuffled = frame.sample(frac=1, random_state=1)
    assert _roles(shuffled, 0.2).sort_index().equals(roles)
    assert not _roles(frame, 0.2, task_seed=1).equals(roles)
