"""Supervised training: from labels to weights with a head, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ConfigError, LeakageError, RunError
from neurofm.models.conformal import are_of_same_people
from neurofm.models.embeddings import embed_store
from neurofm.models.overlap import overlap
from neurofm.models.population import population_in
from neurofm.models.weights import load_encoder, load_weights
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.checkpoints import find_checkpoint
from neurofm.training.fit import StartingPoint, pretrain, train
from neurofm.training.manner import Manner
from neurofm.training.run_log import read_log
from neurofm.training.task import build_task

_CPU = torch.device("cpu")


def _recipe(**sections: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "tiny",
        "store": {"spacing_mm": 6},
        "encoder": {"widths": [4, 8, 8, 16], "stem_stride": 2},
        "objective": {"kind": "supervised", "target": "age_years"},
        "training": {"epochs": 3, "batch_size": 3, "learning_rate": 1e-3},
        "split": {
            "task_test_fraction": 0.25,
            "task_validation_fraction": 0.25,
            "drop_unlabelled": True,
        },
    }
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return check_recipe(values, "a test")


class _InterruptAfter(SilentProgress):
    def __init__(self, batches: int) -> None:
        self._left = batches

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def _lines(folder: Path) -> list[tuple[Any, ...]]:
    keys = ("kind", "step", "loss", "value", "is_best")
    return [tuple(line.get(key) for key in keys) for line in read_log(folder)]


def test_a_run_leaves_the_weights_of_its_best_epoch_and_a_head(
    labelled_store: Store, tmp_path: Path
) -> None:
    train(_recipe(), labelled_store, tmp_path / "run", _CPU)
    lines = [line for line in read_log(tmp_path / "run") if line["kind"] == "validation"]
    assert [line["epochs_done"] for line in lines] == [1, 2, 3]
    best = min(lines, key=lambda line: line["value"])
    head = load_weights(tmp_path / "run").card.head
    assert head is not None
    assert (head.target, head.kind, head.metric) == ("age_years", "regression", "MSE")
    assert (head.validation, head.epoch) == (best["value"], best["epochs_done"])
    assert load_encoder(tmp_path / "run")(torch.zeros(1, 1, 25, 32, 32)).shape == (1, 16)
    assert len(list((tmp_path / "run").glob("best-*.safetensors"))) == 1
    scores = head.validation_scores
    assert len(scores) == head.validation_participants
    assert max(map(abs, scores)) > 0


def test_seeds_of_a_recipe_keep_scores_of_the_same_people_and_other_divisions_do_not(
    labelled_store: Store, tmp_path: Path
) -> None:
    heads = []
    for seed, split in ((0, {}), (1, {}), (0, {"task_seed": 5})):
        recipe = _recipe(training={"epochs": 1}, split=split).model_copy(update={"seed": seed})
        run = tmp_path / f"run{len(heads)}"
        train(recipe, labelled_store, run, _CPU)
        heads.append(load_weights(run).card.head)
    one, two, other = heads
    assert one is not None
    assert two is not None
    assert are_of_same_people([one, two])
    assert one.validation_scores != two.validation_scores
    assert other is not None
    assert not are_of_same_people([one, other])


def test_a_number_is_predicted_in_its_own_unit(labelled_store: Store, tmp_path: Path) -> None:
    task = build_task(labelled_store.index, _recipe().objective, _recipe().split)  # type: ignore[arg-type]
    train(_recipe(), labelled_store, tmp_path / "run", _CPU)
    head = load_weights(tmp_path / "run").card.head
    assert head is not None
    first = task.train.drop_duplicates("participant_id")
    ages = [task.values[int(row)] for row in task.train.index]
    assert min(ages) < head.mean < max(ages)
    assert head.train_participants == len(first)


@pytest.mark.parametrize("target", ["sex", "group3"])
def test_classes_are_learnt_with_the_auc_of_the_validation_part(
    labelled_store: Store, tmp_path: Path, target: str
) -> None:
    recipe = _recipe(objective={"target": target})
    train(recipe, labelled_store, tmp_path / "run", _CPU)
    card = load_weights(tmp_path / "run").card
    assert card.head is not None
    assert card.head.metric == "AUC"
    assert card.head.kind == ("binary" if target == "sex" else "multiclass")
    assert len(load_weights(tmp_path / "run").state["head.bias"]) == card.head.outputs


def test_the_test_part_is_never_read(labelled_store: Store, tmp_path: Path) -> None:
    task = build_task(labelled_store.index, _recipe().objective, _recipe().split)  # type: ignore[arg-type]
    read: list[int] = []

    class _Watched(type(labelled_store)):  # type: ignore[misc]
        def image(self, row: int) -> Any:
            read.append(row)
            return super().image(row)

    watched = _Watched.__new__(_Watched)
    watched.__dict__.update(labelled_store.__dict__)
    train(_recipe(), watched, tmp_path / "run", _CPU)
    assert not set(read) & {int(row) for row in task.test.index}
    seen = pd.concat([task.train, task.validation])
    assert set(read) <= {int(row) for row in seen.index}
    assert set(read) >= {int(row) for row in task.validation.index}


@pytest.mark.parametrize(
    "batches", [*(pytest.param(early, marks=pytest.mark.slow) for early in (1, 2, 4)), 5]
)
def test_an_interrupted_run_goes_on_bit_for_bit(
    labelled_store: Store, tmp_path: Path, batches: int
) -> None:
    recipe = _recipe(training={"checkpoint_steps": 1})
    train(recipe, labelled_store, tmp_path / "whole", _CPU)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, labelled_store, tmp_path / "run", _CPU, _InterruptAfter(batches))
    train(recipe, labelled_store, tmp_path / "run", _CPU)
    assert _lines(tmp_path / "run") == _lines(tmp_path / "whole")
    ours, theirs = (load_weights(tmp_path / name) for name in ("run", "whole"))
    assert all(torch.equal(ours.state[name], theirs.state[name]) for name in theirs.state)
    assert ours.card.head == theirs.card.head


@pytest.mark.parametrize("batches", [pytest.param(3, marks=pytest.mark.slow), 9])
def test_with_checkpoints_after_every_fourth_epoch_a_run_goes_on_bit_for_bit(
    labelled_store: Store, tmp_path: Path, batches: int
) -> None:
    often, seldom = (
        _recipe(training={"epochs": 6, "checkpoint_epochs": every}) for every in (1, 4)
    )
    train(often, labelled_store, tmp_path / "whole", _CPU)
    with pytest.raises(KeyboardInterrupt):
        train(seldom, labelled_store, tmp_path / "run", _CPU, _InterruptAfter(batches))
    saved = find_checkpoint(tmp_path / "run")
    steps_an_epoch = max(line["step"] for line in read_log(tmp_path / "whole")) // 6
    if batches < 4 * steps_an_epoch:
        assert saved is None
    else:
        assert saved is not None
        assert saved.checkpoint.position.epoch == 4
    train(seldom, labelled_store, tmp_path / "run", _CPU)
    assert _lines(tmp_path / "run") == _lines(tmp_path / "whole")
    ours, theirs = (load_weights(tmp_path / name) for name in ("run", "whole"))
    assert all(torch.equal(ours.state[name], theirs.state[name]) for name in theirs.state)
    last = find_checkpoint(tmp_path / "run")
    assert last is not None
    assert last.checkpoint.position.epoch == 6
    assert len(list((tmp_path / "run").glob("best-*.safetensors"))) == 1


@pytest.mark.parametrize("every", [1, 40])
def test_patience_ends_a_run_that_gets_no_better(
    labelled_store: Store, tmp_path: Path, every: int
) -> None:
    recipe = _recipe(
        training={"epochs": 40, "learning_rate": 1e-12, "checkpoint_epochs": every},
        choosing={"patience_epochs": 2},
    )
    train(recipe, labelled_store, tmp_path / "run", _CPU)
    lines = [line for line in read_log(tmp_path / "run") if line["kind"] == "validation"]
    assert len(lines) < 40
    assert not any(line["is_best"] for line in lines[-2:])
    before = _lines(tmp_path / "run")
    train(recipe, labelled_store, tmp_path / "run", _CPU)
    assert _lines(tmp_path / "run") == before


def test_a_frozen_encoder_stays_as_it_was_to_the_last_bit(
    labelled_store: Store, tmp_path: Path
) -> None:
    pretrained = _pretrained(labelled_store, tmp_path)
    recipe = _recipe(tuning={"trained": "head"})
    start = StartingPoint(pretrained)
    train(recipe, labelled_store, tmp_path / "run", _CPU, start=start)
    before, after = load_weights(pretrained).state, load_weights(tmp_path / "run").state
    encoder = [name for name in before if name.startswith("encoder.")]
    assert encoder
    assert all(torch.equal(before[name], after[name]) for name in encoder)
    assert load_weights(tmp_path / "run").card.started_from == (
        load_weights(pretrained).card.weights_sha256
    )


def test_the_last_blocks_alone_can_be_trained(labelled_store: Store, tmp_path: Path) -> None:
    pretrained = _pretrained(labelled_store, tmp_path)
    recipe = _recipe(tuning={"trained": "last", "last_blocks": 2})
    train(recipe, labelled_store, tmp_path / "run", _CPU, start=StartingPoint(pretrained))
    before, after = load_weights(pretrained).state, load_weights(tmp_path / "run").state
    changed = {
        name.split(".")[1]
        for name in before
        if name.startswith("encoder.") and not torch.equal(before[name], after[name])
    }
    assert changed == {"layer4"}


def test_the_encoder_is_that_of_the_weights(labelled_store: Store, tmp_path: Path) -> None:
    pretrained = _pretrained(labelled_store, tmp_path)
    other = _recipe(encoder={"widths": [4, 4, 4, 8]})
    train(other, labelled_store, tmp_path / "run", _CPU, start=StartingPoint(pretrained))
    assert load_weights(tmp_path / "run").card.encoder == load_weights(pretrained).card.encoder


def test_weights_that_saw_the_validation_or_test_part_are_refused(
    labelled_store: Store, tmp_path: Path
) -> None:
    everyone = _pretrained(labelled_store, tmp_path, everyone=True)
    start = StartingPoint(everyone)
    with pytest.raises(LeakageError, match="were seen in pre-training"):
        train(_recipe(), labelled_store, tmp_path / "run", _CPU, start=start)
    allowed = StartingPoint(everyone, allow_overlap=True)
    train(_recipe(), labelled_store, tmp_path / "run", _CPU, start=allowed)


def test_the_card_knows_everybody_who_was_seen(labelled_store: Store, tmp_path: Path) -> None:
    pretrained = _pretrained(labelled_store, tmp_path)
    start = StartingPoint(pretrained)
    train(_recipe(), labelled_store, tmp_path / "run", _CPU, start=start)
    card = load_weights(tmp_path / "run").card
    task = build_task(labelled_store.index, _recipe().objective, _recipe().split)  # type: ignore[arg-type]
    is_pretrain = labelled_store.index["split"] == "pretrain"
    seen = pd.concat([task.train, task.validation, labelled_store.index[is_pretrain]])
    assert len(overlap(card, seen)) == seen.drop_duplicates("participant_id").shape[0]
    assert not overlap(card, task.test)


def test_a_run_that_started_from_other_weights_is_refused(
    labelled_store: Store, tmp_path: Path
) -> None:
    train(_recipe(), labelled_store, tmp_path / "run", _CPU)
    start = StartingPoint(_pretrained(labelled_store, tmp_path))
    with pytest.raises(RunError, match="from other weights"):
        train(_recipe(), labelled_store, tmp_path / "run", _CPU, start=start)


def test_what_cannot_be_learnt_is_refused_in_one_line(
    labelled_store: Store, tmp_path: Path
) -> None:
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (RunError, "has no AUC", {"choosing": {"validation_metric": "AUC"}}),
        (
            RunError,
            "classes have no MSE",
            {"objective": {"target": "sex"}, "choosing": {"validation_metric": "MSE"}},
        ),
        (RunError, "no scan with 'nobody'", {"objective": {"target": "nobody"}}),
        (ConfigError, "use tuning.trained=all", {"tuning": {"trained": "last", "last_blocks": 9}}),
    ]
    for number, (kind, words, sections) in enumerate(cases):
        with pytest.raises(kind, match=words) as told:
            train(_recipe(**sections), labelled_store, tmp_path / str(number), _CPU)
        assert "\n" not in str(told.value)


def test_each_command_names_the_other(
    labelled_store: Store, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="use: neurofm train"):
        pretrain(_recipe(), labelled_store, tmp_path / "a", _CPU)
    with pytest.raises(ConfigError, match="use: neurofm pretrain"):
        train(recipe, labelled_store, tmp_path / "b", _CPU)


def test_a_transformer_is_trained_by_the_same_command(
    labelled_store: Store, tmp_path: Path
) -> None:
    recipe = check_recipe(
        {
            "name": "vit",
            "store": {"spacing_mm": 6},
            "encoder": {
                "kind": "vit", "width": 24, "depth": 2, "heads": 3, "patch_voxels": [5, 8, 8],
            },
            "objective": {"kind": "supervised", "target": "sex"},
            "training": {"epochs": 1, "batch_size": 3},
        },
        "a test",
    )  # fmt: skip
    train(recipe, labelled_store, tmp_path / "run", _CPU)
    assert load_encoder(tmp_path / "run")(torch.zeros(1, 1, 25, 32, 32)).shape == (1, 24)


def test_unlabelled_scans_are_told_of(labelled_store: Store, tmp_path: Path) -> None:
    lines: list[str] = []
    train(_recipe(), labelled_store, tmp_path / "run", _CPU, how=Manner(tell=lines.append))
    assert any("without a label" in line for line in lines)


def test_balanced_classes_weigh_the_same_and_the_mean_weight_is_one(
    labelled_store: Store,
) -> None:
    recipe = _recipe(objective={"target": "group3"})
    task = build_task(labelled_store.index, recipe.objective, recipe.split)  # type: ignore[arg-type]
    people = task.train.drop_duplicates("participant_id")
    weights = np.array([task.weights[int(task.values[int(row)])] for row in people.index])
    classes = np.array([task.values[int(row)] for row in people.index])
    totals = [weights[classes == label].sum() for label in np.unique(classes)]
    assert weights.mean() == pytest.approx(1)
    assert totals == pytest.approx([totals[0]] * 3)


def _pretrained(store: Store, tmp_path: Path, everyone: bool = False) -> Path:
    """Weights that saw the people of the split "pretrain", or all people."""
    recipe = check_recipe(
        {
            "name": "before",
            "store": {"spacing_mm": 6},
            "encoder": {"widths": [4, 8, 8, 16], "stem_stride": 2},
            "objective": {"projection_size": 8},
            "training": {"epochs": 1, "batch_size": 3},
        },
        "a test",
    )
    folder = tmp_path / f"pretrained-{everyone}"
    if everyone:
        split = store.index["split"]
        store.index["split"] = "pretrain"
        pretrain(recipe, store, folder, _CPU)
        store.index["split"] = split
    else:
        pretrain(recipe, store, folder, _CPU)
    return folder


def test_the_spread_of_the_training_embeddings_goes_with_the_weights(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    """30 participants of two scans: one scan each counts, and nobody's embedding is kept."""
    pack(fake.write(tmp_path / "derivatives", 60), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    store = open_store(tmp_path / "store")
    values = {"name": "tiny", "store": {"spacing_mm": 6},
              "encoder": {"widths": [4, 8, 8, 16], "stem_stride": 2},
              "training": {"epochs": 1, "batch_size": 10}}  # fmt: skip
    for most, people in ((2000, 30), (25, 25), (0, 0)):
        recipe = check_recipe(values | {"health": {"population_participants": most}}, "a test")
        pretrain(recipe, store, tmp_path / str(most), _CPU)
        population = population_in(load_weights(tmp_path / str(most)).state)
        assert (0 if population is None else len(population.distances)) == people
    whole = population_in(load_weights(tmp_path / "2000").state)
    assert whole is not None
    embedded = embed_store(
        load_encoder(tmp_path / "2000"), store, range(60), _CPU, SilentProgress()
    )  # fmt: skip
    assert 5 < np.median(whole.percentiles_of(whole.distances_of(embedded))) < 80
    assert load_weights(tmp_path / "2000").state["population.centre"].shape == (16,)
