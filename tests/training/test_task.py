"""What of a task stops before it is trained: parts without a class, people in two parts."""

from __future__ import annotations

import pandas as pd
import pytest

from neurofm.config.objectives import SupervisedConfig
from neurofm.config.preparation import SplitConfig
from neurofm.config.tuning import ChoosingConfig
from neurofm.errors import LeakageError, RunError, TableError
from neurofm.training.task import build_task
from neurofm.training.validation_metrics import choose_metric

_PARTS = ("train", "validation", "test")


@pytest.fixture
def index() -> pd.DataFrame:
    """Ten people in each part, one scan each, half of them ill."""
    rows = [(part, number) for part in _PARTS for number in range(10)]
    return pd.DataFrame(
        {
            "scan_id": [f"{part}{number}" for part, number in rows],
            "cohort": "C",
            "participant_id": [f"{part}{number}" for part, number in rows],
            "sha256": None,
            "split": [part for part, _ in rows],
            "ill": ["H" if number % 2 else "AD" for _, number in rows],
        }
    )


_ILL = SupervisedConfig(target="ill")


def without_the_ill(index: pd.DataFrame, part: str) -> pd.DataFrame:
    return index[(index["split"] != part) | (index["ill"] == "H")].reset_index(drop=True)


def test_a_class_that_training_lacks_stops(index: pd.DataFrame) -> None:
    """Case 83."""
    with pytest.raises(RunError, match="training part has no participant of class 'AD'"):
        build_task(without_the_ill(index, "train"), _ILL, SplitConfig())


def test_without_both_classes_in_validation_there_is_no_auc_to_choose_by(
    index: pd.DataFrame,
) -> None:
    """Case 83."""
    task = build_task(without_the_ill(index, "validation"), _ILL, SplitConfig())
    with pytest.raises(RunError, match="validation part has only 'H', so there is no AUC"):
        choose_metric(task, ChoosingConfig())


def test_the_held_out_training_part_trains(index: pd.DataFrame) -> None:
    words = index["split"].replace("train", "held-out-train")
    task = build_task(index.assign(split=words), _ILL, SplitConfig())
    assert set(task.train["split"]) == {"held-out-train"}
    assert (len(task.train), len(task.validation), len(task.test)) == (10, 10, 10)


@pytest.mark.parametrize("other", ["pretrain", "validation", None])
def test_somebody_of_the_test_part_elsewhere_stops(index: pd.DataFrame, other: str | None) -> None:
    """Case 86."""
    more = index[index["split"] == "test"].iloc[[0]].assign(scan_id="more", split=other, ill=None)
    torn = pd.concat([index, more], ignore_index=True)
    with pytest.raises(LeakageError, match="C/test0: scans of one person"):
        build_task(torn, _ILL, SplitConfig())


def test_people_of_the_task_without_a_label_stop_unless_they_may_be_left_out(
    index: pd.DataFrame,
) -> None:
    """Case 80."""
    index.loc[index["participant_id"].isin(["train3", "test7"]), "ill"] = None
    with pytest.raises(TableError, match="^index: 2 participants without 'ill': C/test7, C/train3"):
        build_task(index, _ILL, SplitConfig())
    with pytest.raises(TableError, match="2 participants without 'ill'"):
        build_task(index, SupervisedConfig(target="ill", classes=("H", "AD")), SplitConfig())
    task = build_task(index, _ILL, SplitConfig(drop_unlabelled=True))
    assert task.notes == ("left out: 2 participants (2 scans) without a label",)
    assert (len(task.train), len(task.test)) == (9, 9)


def test_whoever_has_no_part_or_is_of_another_cohort_needs_no_label(index: pd.DataFrame) -> None:
    others = index.iloc[:2].assign(
        scan_id=["x", "y"], participant_id=["x", "y"], split=["pretrain", "unused"], ill=None
    )
    elsewhere = index.assign(cohort="D", ill=None)
    whole = pd.concat([index, others, elsewhere], ignore_index=True)
    task = build_task(whole, _ILL, SplitConfig(task_cohorts=("C",)))
    assert (len(task.train), len(task.validation), len(task.test)) == (10, 10, 10)


def test_codes_stop_until_they_are_named_as_classes(index: pd.DataFrame) -> None:
    """Case 82."""
    index["ill"] = [float(number % 3) for number in range(len(index))]
    with pytest.raises(TableError, match="'ill' has only the numbers 0, 1, 2"):
        build_task(index, _ILL, SplitConfig())
    two = build_task(index, SupervisedConfig(target="ill", classes=("1", "2")), SplitConfig())
    assert (two.head.kind, two.head.classes) == ("binary", ("1", "2"))
    assert len(two.values) == 20
    three = SupervisedConfig(target="ill", classes=("0", "1", "2"))
    assert build_task(index, three, SplitConfig()).head.kind == "multiclass"
