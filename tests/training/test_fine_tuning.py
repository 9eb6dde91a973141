"""Fine-tuning a transformer and a ResNet by adapters, and layers at rates of their own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ConfigError
from neurofm.files import read_json
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import load_encoder, load_weights
from neurofm.progress import SilentProgress
from neurofm.store.reader import Store
from neurofm.training.checkpoints import find_checkpoint
from neurofm.training.fit import StartingPoint, pretrain, train
from neurofm.training.manner import Manner
from neurofm.training.onlookers import Onlookers, ProbeScore
from neurofm.training.run_log import read_log

_CPU = torch.device("cpu")
_VIT = {"kind": "vit", "width": 24, "depth": 2, "heads": 3, "patch_voxels": [5, 8, 8]}
_RESNET = {"widths": [4, 8, 8, 16], "stem_stride": 2}
_MAE = {"kind": "mae", "decoder_width": 18, "decoder_depth": 1, "decoder_heads": 3}
_BEFORE = {"vit": (_VIT, _MAE), "resnet": (_RESNET, {"projection_size": 8})}
_BOTH = pytest.mark.parametrize("kind", ["vit", "resnet"])
_LORA = {"trained": "lora", "lora_rank": 2, "lora_alpha": 4}


def _recipe(kind: str, **sections: Any) -> Recipe:
    values: dict[str, Any] = {
        "name": "fine-tuned",
        "store": {"spacing_mm": 6},
        "encoder": _BEFORE[kind][0],
        "objective": {"kind": "supervised", "target": "age_years"},
        "training": {"epochs": 2, "batch_size": 3, "learning_rate": 1e-2, "checkpoint_steps": 1},
        "split": {
            "task_test_fraction": 0.25,
            "task_validation_fraction": 0.25,
            "drop_unlabelled": True,
        },
    }
    return check_recipe(values | sections, "a test")


def _pretrained(store: Store, folder: Path, kind: str) -> StartingPoint:
    encoder, objective = _BEFORE[kind]
    recipe = check_recipe(
        {
            "name": "before",
            "store": {"spacing_mm": 6},
            "encoder": encoder,
            "objective": objective,
            "training": {"epochs": 1, "batch_size": 3},
        },
        "a test",
    )
    pretrain(recipe, store, folder, _CPU)
    return StartingPoint(folder)


class _InterruptAfter(SilentProgress):
    def __init__(self, batches: int) -> None:
        self._left = batches

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def _of_encoder(state: Any) -> dict[str, Tensor]:
    prefix = "encoder."
    return {n.removeprefix(prefix): each for n, each in state.items() if n.startswith(prefix)}


@_BOTH
def test_adapters_are_learnt_and_merged_into_weights_that_need_no_peft(
    labelled_store: Store, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = _pretrained(labelled_store, tmp_path / "before", kind)
    train(_recipe(kind, tuning=_LORA), labelled_store, tmp_path / "run", _CPU, start=start)
    before = _of_encoder(load_weights(tmp_path / "before").state)
    after = _of_encoder(load_weights(tmp_path / "run").state)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    if kind == "vit":
        assert {name.split(".", 2)[2] for name in changed} == {
            "attn.qkv.weight",
            "attn.out_proj.weight",
        }
    else:
        assert all(after[name].ndim == 5 for name in changed)
    monkeypatch.setitem(sys.modules, "peft", None)
    assert load_encoder(tmp_path / "run")(torch.zeros(1, 1, 25, 32, 32)).isfinite().all()


@_BOTH
def test_a_checkpoint_holds_the_adapters_and_the_weights_under_them_stay(
    labelled_store: Store, tmp_path: Path, kind: str
) -> None:
    start = _pretrained(labelled_store, tmp_path / "before", kind)
    train(_recipe(kind, tuning=_LORA), labelled_store, tmp_path / "run", _CPU, start=start)
    found = find_checkpoint(tmp_path / "run")
    assert found is not None
    state = _of_encoder(found.checkpoint.model)
    adapters = {name: each for name, each in state.items() if ".lora_" in name}
    assert any(bool((each != 0).any()) for name, each in adapters.items() if "lora_B" in name)
    kept = {n.replace(".base_layer.", "."): each for n, each in state.items() if n not in adapters}
    before = _of_encoder(load_weights(tmp_path / "before").state)
    assert kept.keys() == before.keys()
    assert all(torch.equal(kept[name], before[name]) for name in before)


@_BOTH
def test_the_run_says_how_many_weights_it_trains(
    labelled_store: Store, tmp_path: Path, kind: str
) -> None:
    train(_recipe(kind, tuning=_LORA), labelled_store, tmp_path / "run", _CPU)
    said = read_json(tmp_path / "run" / "software.json")
    found = find_checkpoint(tmp_path / "run")
    assert found is not None
    model = found.checkpoint.model
    trained = [each for name, each in model.items() if ".lora_" in name or name[:5] == "head."]
    assert int(said["trained_weights"]) == sum(each.numel() for each in trained)
    assert int(said["trained_weights"]) < int(said["weights"])


@pytest.mark.parametrize(
    ("kind", "tuning", "batches"),
    [
        pytest.param("vit", _LORA, 1, marks=pytest.mark.slow),
        ("vit", _LORA, 3),
        pytest.param("resnet", _LORA, 3, marks=pytest.mark.slow),
        pytest.param("vit", {"layer_decay": 0.5}, 1, marks=pytest.mark.slow),
        ("vit", {"layer_decay": 0.5}, 3),
    ],
)
def test_an_interrupted_run_goes_on_bit_for_bit(
    labelled_store: Store, tmp_path: Path, kind: str, tuning: dict[str, Any], batches: int
) -> None:
    recipe = _recipe(kind, tuning=tuning)
    train(recipe, labelled_store, tmp_path / "whole", _CPU)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, labelled_store, tmp_path / "run", _CPU, _InterruptAfter(batches))
    train(recipe, labelled_store, tmp_path / "run", _CPU)
    ours, theirs = (load_weights(tmp_path / name) for name in ("run", "whole"))
    assert ours.state.keys() == theirs.state.keys()
    assert all(torch.equal(ours.state[name], theirs.state[name]) for name in theirs.state)
    logs = [
        [
            (line["step"], line["loss"], line.get("learning_rate"))
            for line in read_log(tmp_path / name)
        ]
        for name in ("run", "whole")
    ]
    assert logs[0] == logs[1]
    assert ours.card.head == theirs.card.head


@_BOTH
def test_those_who_look_between_epochs_see_a_plain_encoder(
    labelled_store: Store, tmp_path: Path, kind: str
) -> None:
    seen: list[set[str]] = []

    def probe(state: Mapping[str, Tensor]) -> tuple[ProbeScore, ...]:
        seen.append(set(_of_encoder(state)))
        return ()

    recipe = _recipe(kind, tuning=_LORA, health={"probe_epochs": 1})
    how = Manner(onlookers=Onlookers(make_probe=lambda *_: probe))
    train(recipe, labelled_store, tmp_path / "run", _CPU, how=how)
    plain = build_encoder(recipe.encoder, spacing_mm=6.0).state_dict()
    assert seen == [set(plain)] * 3


def test_the_log_has_the_rate_of_the_head(labelled_store: Store, tmp_path: Path) -> None:
    train(_recipe("vit", tuning={"layer_decay": 0.5}), labelled_store, tmp_path / "run", _CPU)
    steps = [line for line in read_log(tmp_path / "run") if line["kind"] == "step"]
    assert {line["learning_rate"] for line in steps} == {1e-2}


def test_adapters_without_peft_are_refused_before_there_is_a_run(
    labelled_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install 'neurofm\[lora\]'"):
        train(_recipe("vit", tuning=_LORA), labelled_store, tmp_path / "run", _CPU)
    assert not (tmp_path / "run" / "recipe.yaml").exists()
