"""An evaluation, and a whole path, that lack labels stop before anything is prepared or read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurofm.errors import TableError
from neurofm.evaluation.label_door import require_labels_of
from neurofm.evaluation.protocol import evaluate

_STOPPING = {"drop_unlabelled": False}


@pytest.mark.parametrize("parts", ["folds", "task"])
def test_somebody_without_a_label_stops_an_evaluation_unless_it_may_go_on(
    kit: Any, tmp_path: Path, parts: str
) -> None:
    """Case 80."""
    run, evaluation = kit.simclr("pre"), {"parts": parts, "targets": ["sex"]}
    stopping = kit.recipe(evaluation=evaluation, split=_STOPPING)
    with pytest.raises(TableError, match="1 participants without 'sex': fake/p09; label them"):
        evaluate(stopping, kit.store, run, tmp_path / "e")
    assert not (tmp_path / "e").exists()
    record = evaluate(kit.recipe(evaluation=evaluation), kit.store, run, tmp_path / "e")
    assert record.tasks[0].notes == ("left out: 1 participant (2 scans) without a label",)


@pytest.mark.parametrize("parts", ["folds", "task"])
def test_labels_that_may_be_codes_stop_an_evaluation(kit: Any, tmp_path: Path, parts: str) -> None:
    """Case 82."""
    number = kit.store.index["participant_id"].str[1:].astype(int)
    kit.store.index["stage"] = number % 2 + 1
    recipe = kit.recipe(evaluation={"parts": parts, "targets": ["stage"]})
    with pytest.raises(TableError, match="'stage' has only the numbers 1, 2"):
        evaluate(recipe, kit.store, kit.simclr("pre"), tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_head_that_was_trained_on_named_codes_is_evaluated_on_them(
    kit: Any, tmp_path: Path
) -> None:
    number = kit.store.index["participant_id"].str[1:].astype(int)
    kit.store.index["stage"] = number % 2 + 1.0
    run = kit.supervised("run", "stage", objective={"classes": ["1", "2"]})
    (task,) = evaluate(kit.recipe(), kit.store, run, tmp_path / "e").tasks
    assert (task.kind, task.classes) == ("binary", ("1", "2"))


@pytest.mark.parametrize(
    "sections",
    [
        {"objective": {"kind": "supervised", "target": "sex"}},
        {"evaluation": {"parts": "task", "targets": ["sex"]}},
        {"evaluation": {"parts": "folds", "targets": ["age_years", "sex"]}},
    ],
)
def test_a_whole_path_asks_for_the_labels_of_what_it_will_do(
    kit: Any, sections: dict[str, Any]
) -> None:
    index = kit.store.index
    require_labels_of(kit.recipe(**sections), index)
    with pytest.raises(TableError, match="without 'sex': fake/p09"):
        require_labels_of(kit.recipe(**sections, split=_STOPPING), index)
    labelled = index.assign(sex=index["sex"].fillna("F"))
    require_labels_of(kit.recipe(**sections, split=_STOPPING), labelled)


def test_pre_training_people_need_no_labels(kit: Any) -> None:
    index = kit.store.index
    index.loc[index["split"] == "pretrain", "age_years"] = None
    recipe = kit.recipe(evaluation={"targets": ["age_years"]}, split=_STOPPING)
    require_labels_of(recipe, index)
