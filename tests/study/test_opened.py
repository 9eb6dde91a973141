"""What stops a study before its first cell: labels, parts and people that cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofm.errors import LeakageError, RunError, TableError
from neurofm.study.opened import Allowed, OpenedStudy, open_study

_SIDES = ("train", "validation", "test", "pretrain")


@pytest.fixture
def index(study_place: SimpleNamespace) -> Any:
    """The store's index, put back after the test; four people each train, validate and are tested.

    The encoder has seen those who pre-train.
    """
    store = study_place.store
    kept = store.index.copy()
    number = kept["participant_id"].str[1:].astype(int)
    store.index["split"] = np.where(number < 4, "pretrain", "held-out")
    people = number - 4
    store.index.loc[people >= 0, "split"] = [_SIDES[each % 3] for each in people[people >= 0]]
    store.index["sex"] = ["FM"[each // 3 % 2] for each in number]
    yield store.index
    for name in store.index.columns.difference(kept.columns):
        del store.index[name]
    store.index[kept.columns] = kept


@pytest.fixture
def open_it(study_place: SimpleNamespace) -> Callable[..., OpenedStudy]:
    def run(allowed: Allowed = Allowed(), **changes: Any) -> OpenedStudy:  # noqa: B008
        study = study_place.kit.study(**changes)
        return open_study(study, study_place.store, study_place.weights, allowed)

    return run


def test_a_study_may_begin(index: pd.DataFrame, open_it: Callable[..., OpenedStudy]) -> None:
    opened = open_it()
    assert set(opened.tasks) == {(name, share) for name in ("sex", "age") for share in (0.5, 1.0)}
    assert opened.seen == {"simclr": 0}


def test_somebody_without_a_label_stops_it_unless_he_may_be_left_out(
    index: pd.DataFrame, open_it: Callable[..., OpenedStudy], study_place: SimpleNamespace
) -> None:
    """Case 80."""
    index.loc[index["participant_id"] == "p05", "sex"] = None
    with pytest.raises(TableError, match="1 participants without 'sex': fake/p05; label them"):
        open_it()
    common = study_place.kit.values["common"]
    common = common | {"split": common["split"] | {"drop_unlabelled": True}}
    task = open_it(common=common).tasks["sex", 1.0].target
    assert task.notes == ("left out: 1 participant (2 scans) without a label",)


def test_labels_that_may_be_codes_stop_it_until_they_are_named(
    index: pd.DataFrame, open_it: Callable[..., OpenedStudy]
) -> None:
    """Case 82."""
    index["stage"] = [1.0 if each == "F" else 2.0 for each in index["sex"]]
    task = {"name": "stage", "title": "Stage", "target": "stage"}
    with pytest.raises(TableError, match="'stage' has only the numbers 1, 2"):
        open_it(tasks=[task])
    opened = open_it(tasks=[task | {"classes": ["1", "2"]}])
    assert opened.tasks["stage", 1.0].target.classes == ("1", "2")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("train", "'sex' has nothing to test .*training part has no participant of class 'M'"),
        ("validation", "sex: from scratch, run 1: the validation part has only 'F'"),
        ("test", "'sex' has nothing to test .*the test part has only 'F'"),
    ],
)
def test_a_part_of_one_class_stops_it(
    index: pd.DataFrame, open_it: Callable[..., OpenedStudy], part: str, message: str
) -> None:
    """Case 83."""
    index.loc[index["split"] == part, "sex"] = "F"
    with pytest.raises(RunError, match=message):
        open_it()


def test_a_probe_needs_no_second_class_to_choose_by(
    index: pd.DataFrame, open_it: Callable[..., OpenedStudy], study_place: SimpleNamespace
) -> None:
    """Case 83."""
    index.loc[index["split"] == "validation", "sex"] = "F"
    assert open_it(models=study_place.kit.values["models"][1:2]).tasks


def test_a_person_in_two_parts_stops_it(
    index: pd.DataFrame, open_it: Callable[..., OpenedStudy]
) -> None:
    """Cases 86, 88."""
    (row, *_) = index.index[index["split"] == "test"]
    index.loc[row, "split"] = "train"
    with pytest.raises(LeakageError, match="scans of one person"):
        open_it()


def test_an_encoder_that_has_seen_a_test_person_stops_it_or_is_told_of(
    index: pd.DataFrame, open_it: Callable[..., OpenedStudy]
) -> None:
    """Case 91."""
    index.loc[index["participant_id"] == "p00", "split"] = "test"
    with pytest.raises(LeakageError, match="1 participants to be evaluated were seen"):
        open_it()
    opened = open_it(Allowed(overlap=True))
    assert opened.seen == {"simclr": 1}
    assert any("as was allowed" in text for text in opened.warnings)
