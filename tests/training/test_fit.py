"""Pre-training from a store to a run folder, through to a loaded encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from neurofm.config.recipe import Recipe, load_recipe
from neurofm.errors import ConfigError, RunError
from neurofm.models.overlap import overlap
from neurofm.models.weights import load_encoder, load_weights
from neurofm.progress import SilentProgress
from neurofm.store.reader import Store
from neurofm.training.fit import pretrain
from neurofm.training.run_log import read_log

_CPU = torch.device("cpu")


class _Interruption(Exception):
    """Stands for anything that ends a run in the middle."""


class _InterruptAfter(SilentProgress):
    """A progress bar that breaks after some batches, as a closed terminal does."""

    def __init__(self, batches: int) -> None:
        self._left = batches

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left < 0:
            raise _Interruption


def _losses(folder: Path) -> list[tuple[str, int, int, float]]:
    return [(row["kind"], row["epoch"], row["step"], row["loss"]) for row in read_log(folder)]


def _changed(recipe: Recipe, **training: Any) -> Recipe:
    update = {"training": recipe.training.model_copy(update=training)}
    return recipe.model_copy(update=update)


def test_a_run_leaves_weights_that_load_and_a_whole_record(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    done = pretrain(recipe, store, folder, _CPU)
    assert (done.epochs_before, done.skipped_steps, done.note) == (0, 0, "")
    assert load_encoder(folder)(torch.zeros(1, 1, 25, 32, 32)).shape == (1, 16)
    assert load_recipe(folder / "recipe.yaml") == recipe
    assert json.loads((folder / "software.json").read_text())["torch"] == torch.__version__
    assert (folder / "last.pt").is_file()
    assert list((folder / "tensorboard").glob("events*"))
    kinds = [(row["kind"], row["epoch"], row["step"]) for row in read_log(folder)]
    assert kinds == [
        (kind, epoch, 2 * epoch + step)
        for epoch in range(3)
        for kind, step in (("step", 1), ("step", 2), ("epoch", 2))
    ]


def test_every_line_of_the_log_holds_what_a_reader_needs(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    pretrain(recipe, store, tmp_path / "run", _CPU)
    for row in read_log(tmp_path / "run"):
        assert row["parts"] == {"nt_xent": row["loss"]}
        assert row["learning_rate"] == 1e-3
        assert row["pairs_per_second"] > 0
        assert 0 <= row["data_wait_share"] <= 1
        assert 0 <= row["alignment"] <= 4
        assert row["uniformity"] <= 0
        assert 0 < row["effective_rank"] <= 5
        assert row["gradient_norm"] > 0
        assert row["skipped_steps"] == 0


def test_the_card_knows_contract_recipe_and_participants(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    pretrain(recipe, store, tmp_path / "run", _CPU)
    card = load_weights(tmp_path / "run").card
    assert card.contract_fingerprint == store.contract.fingerprint()
    assert card.recipe_fingerprint == recipe.fingerprint()
    assert card.spacing_mm == 6.0
    assert [(c.cohort, c.participants, c.scans) for c in card.cohorts] == [("fake", 6, 12)]
    assert overlap(card, store.index) == [f"fake/p{number:02d}" for number in range(6)]


@pytest.mark.parametrize(
    "batches",
    [*(pytest.param(early, marks=pytest.mark.slow) for early in (0, 1, 2)), 3, 5],
)
def test_an_interrupted_run_goes_on_to_the_same_losses_bit_for_bit(
    recipe: Recipe, store: Store, tmp_path: Path, batches: int
) -> None:
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    with pytest.raises(_Interruption):
        pretrain(recipe, store, tmp_path / "broken", _CPU, _InterruptAfter(batches))
    done = pretrain(recipe, store, tmp_path / "broken", _CPU)
    assert done.epochs_before == batches // 2
    assert _losses(tmp_path / "broken") == _losses(tmp_path / "whole")
    whole, broken = (load_weights(tmp_path / name).state for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_a_run_that_stopped_before_its_weights_were_saved_only_saves_them(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    pretrain(recipe, store, folder, _CPU)
    before = load_weights(folder).state
    (folder / "card.json").unlink()
    assert pretrain(recipe, store, folder, _CPU).epochs_before == 3
    after = load_weights(folder).state
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_finished_run_says_so_and_changes_nothing(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    pretrain(recipe, store, folder, _CPU)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert "finished already" in pretrain(recipe, store, folder, _CPU).note
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    after.pop(folder / ".lock")
    before.pop(folder / ".lock")
    assert {path for path in after if after[path] != before[path]} <= {folder / "data.json"}


def test_a_folder_of_another_recipe_is_refused_with_the_keys_that_differ(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case 96."""
    pretrain(recipe, store, tmp_path / "run", _CPU)
    other = _changed(recipe, epochs=4, learning_rate=0.01)
    message = (
        "training.epochs is 3 there and 4 here, training.learning_rate is 0.001 there and 0.01"
    )
    with pytest.raises(RunError, match=message):
        pretrain(other, store, tmp_path / "run", _CPU)


def test_what_pre_training_does_not_read_may_change_between_calls(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    pretrain(recipe, store, tmp_path / "run", _CPU)
    evaluation = recipe.evaluation.model_copy(update={"folds": 3})
    other = recipe.model_copy(update={"evaluation": evaluation, "name": "renamed"})
    assert "finished" in pretrain(other, store, tmp_path / "run", _CPU).note


def test_participants_held_out_are_never_seen(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    held_out = {"p00": "held-out", "p01": "test", "p02": "validation", "p03": "train", "p04": None}
    store.index["split"] = [
        held_out.get(participant, "pretrain") for participant in store.index["participant_id"]
    ]
    pretrain(recipe, store, tmp_path / "run", _CPU)
    card = load_weights(tmp_path / "run").card
    assert overlap(card, store.index) == ["fake/p03", "fake/p04", "fake/p05"]


def test_a_store_without_anyone_to_see_is_refused(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    store.index["split"] = "held-out"
    with pytest.raises(RunError, match="split"):
        pretrain(recipe, store, tmp_path / "run", _CPU)


def test_a_store_of_another_spacing_is_refused(store: Store, tmp_path: Path) -> None:
    recipe = Recipe(name="full")
    with pytest.raises(ConfigError, match="store.spacing_mm=6"):
        pretrain(recipe, store, tmp_path / "run", _CPU)


def test_too_few_participants_for_a_batch_stop_before_training(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="batch"):
        pretrain(_changed(recipe, batch_size=7), store, tmp_path / "run", _CPU)
    assert not (tmp_path / "run").exists()  # with another batch size it is the run's


def test_another_seed_gives_other_losses(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    short = _changed(recipe, epochs=1)
    pretrain(short, store, tmp_path / "a", _CPU)
    pretrain(short.model_copy(update={"seed": 1}), store, tmp_path / "b", _CPU)
    assert (
        pd.DataFrame(_losses(tmp_path / "a"))[3].ne(pd.DataFrame(_losses(tmp_path / "b"))[3]).all()
    )
