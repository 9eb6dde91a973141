"""Whom an encoder may have seen of the people that fit, choose and test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurofm.errors import LeakageError
from neurofm.evaluation.protocol import evaluate

_SIDES = ("pretrain", "held-out-train", "validation", "test")


def divided(kit: Any, seen: str | None = None) -> list[str]:
    """Six people a side; the encoder to come has seen one side more than it should."""
    number = kit.store.index["participant_id"].str[1:].astype(int)
    sides = [_SIDES[each % 4] for each in number]
    kit.store.index["split"] = ["pretrain" if side == seen else side for side in sides]
    return sides


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ("validation", "6 participants of the validation part were seen in pre-training"),
        ("held-out-train", "6 participants held out, of the training part, were seen in"),
        ("test", "6 participants to be evaluated were seen in pre-training"),
    ],
)
def test_nobody_who_was_kept_from_pre_training_may_have_been_in_it(
    kit: Any, tmp_path: Path, side: str, words: str
) -> None:
    """Case 91."""
    sides = divided(kit, seen=side)
    run, recipe = kit.simclr("pre"), kit.recipe(evaluation={"parts": "task"})
    kit.store.index["split"] = sides
    with pytest.raises(LeakageError, match=words):
        evaluate(recipe, kit.store, run, tmp_path / "e")
    record = evaluate(recipe, kit.store, run, tmp_path / "e", allow_overlap=True)
    assert any("were seen in pre-training, as was allowed" in text for text in record.warnings)
    assert record.pretrain_overlap == (6 if side == "test" else 0)


def test_a_training_part_that_joins_pre_training_may_have_been_seen(
    kit: Any, tmp_path: Path
) -> None:
    sides = ["train" if side == "held-out-train" else side for side in divided(kit)]
    kit.store.index["split"] = sides
    recipe = kit.recipe(evaluation={"parts": "task"})
    record = evaluate(recipe, kit.store, kit.simclr("pre"), tmp_path / "e")
    assert not [text for text in record.warnings if "were seen" in text]


def test_a_run_on_labels_does_not_start_from_weights_that_saw_its_held_out_training_part(
    kit: Any,
) -> None:
    """Case 91."""
    sides = divided(kit, seen="held-out-train")
    run = kit.simclr("pre")
    kit.store.index["split"] = sides
    with pytest.raises(LeakageError, match="6 participants held out, of the training part"):
        kit.supervised("run", "age_years", start=run)
    kit.store.index["split"] = ["train" if each == "held-out-train" else each for each in sides]
    assert kit.supervised("run", "age_years", start=run).is_dir()
