"""One division of everybody: sizes, balance, people kept whole, the same whatever the order."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.division import divide_index
from neurofm.cohorts.index import COLUMNS, participant_keys
from neurofm.cohorts.sides import SEEN_IN_PRETRAINING, given_roles
from neurofm.config.preparation import SplitConfig
from neurofm.errors import TableError

PARTS = SplitConfig(
    preset="three-parts", task_test_fraction=0.4, task_validation_fraction=0.15,
    stratify=("cohort", "sex"),
)  # fmt: skip


def index(people: int = 60, visits: int = 2) -> pd.DataFrame:
    """Two cohorts of two thirds and one third of the people; as many women as men."""
    who, visit = np.divmod(np.arange(people * visits), visits)
    scans = [f"{person:03d}_{number}" for person, number in zip(who, visit, strict=True)]
    frame = pd.DataFrame(index=range(len(who)), columns=list(COLUMNS), dtype=object)
    return frame.assign(
        cohort=np.where(who % 3 < 2, "A", "B"), participant_id=[f"{p:03d}" for p in who],
        session_id=visit.astype(str), scan_id=scans, sha256=scans,
        sex=np.where(who % 2, "F", "M"),
        age_years=20.0 + who, path="x.nii", bytes=1,
    )  # fmt: skip


def test_the_parts_have_their_shares_of_people_in_every_stratum() -> None:
    divided = divide_index(index(), PARTS, seed=0).frame
    people = divided.groupby("split")["participant_id"].nunique()
    assert people.to_dict() == {"test": 24, "train": 27, "validation": 9}
    test = divided[divided["split"] == "test"].drop_duplicates("participant_id")
    assert test.groupby(["cohort", "sex"]).size().tolist() == [8, 8, 4, 4]


def test_pretraining_sees_the_training_part_and_tasks_have_all_three() -> None:
    divided = divide_index(index(), PARTS, seed=0).frame
    seen = divided["split"].isin(SEEN_IN_PRETRAINING)
    assert set(divided["split"][seen]) == {"train"}
    assert given_roles(divided["split"]).notna().all()


def test_a_person_and_people_with_the_same_file_stay_together() -> None:
    frame = index()
    keys = participant_keys(frame)
    first, last = (frame.index[keys == key][0] for key in (keys.iloc[0], keys.iloc[-1]))
    frame.loc[last, "sha256"] = frame.loc[first, "sha256"]
    for seed in range(10):
        divided = divide_index(frame, PARTS, seed).frame
        assert divided.groupby("participant_id")["split"].nunique().max() == 1
        assert divided.loc[first, "split"] == divided.loc[last, "split"]


def test_the_draw_is_the_seeds_and_not_the_orders() -> None:
    frame = index()
    sides = divide_index(frame, PARTS, 0).frame.set_index("scan_id")["split"]
    shuffled = frame.sample(frac=1, random_state=3).reset_index(drop=True)
    again = divide_index(shuffled, PARTS, 0).frame.set_index("scan_id")["split"]
    assert (again[sides.index] == sides).all()
    other = divide_index(frame, PARTS, 1).frame.set_index("scan_id")["split"]
    assert (other[sides.index] != sides).any()


def test_an_index_divided_otherwise_and_a_missing_column_are_refused() -> None:
    frame = index()
    divided = divide_index(frame, PARTS, 0).frame
    assert (divide_index(divided, PARTS, 0).frame["split"] == divided["split"]).all()
    with pytest.raises(TableError, match="is divided already"):
        divide_index(divided, PARTS, 1)
    with pytest.raises(TableError, match="has no column 'hand'"):
        divide_index(frame, PARTS.model_copy(update={"stratify": ("hand",)}), 0)
