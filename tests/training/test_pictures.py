"""Pictures between epochs: where they lie, who draws them, and that they change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from neurofm.config.health import HealthConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.reports.onlookers import ONLOOKERS
from neurofm.store.reader import Store
from neurofm.training.fit import Manner, pretrain
from neurofm.training.health import CollapseAlarm
from neurofm.training.onlookers import Onlookers
from neurofm.training.run_log import Record, read_log

_CPU = torch.device("cpu")
_TIMES = ("seconds", "pairs_per_second", "data_wait_share")


def _recipe(probe_epochs: int = 2, objective: str = "mae") -> Recipe:
    vit = {"kind": "vit", "width": 12, "depth": 1, "heads": 2, "patch_voxels": [5, 8, 8]}
    decoder = {"decoder_width": 12, "decoder_depth": 1, "decoder_heads": 2}
    return check_recipe(
        {
            "name": "tiny",
            "store": {"spacing_mm": 6},
            "encoder": vit,
            "objective": {"kind": objective} | (decoder if objective == "mae" else {}),
            "training": {"epochs": 5, "batch_size": 3, "learning_rate": 1e-3},
            "health": {"probe_epochs": probe_epochs},
            "evaluation": {"folds": 2},
        },
        where="a test",
    )


def _learnt(folder: Path) -> list[dict[str, Any]]:
    lines = [line for line in read_log(folder) if line["kind"] in ("step", "epoch")]
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def _pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "reconstructions").glob("*")}


class _Interrupt(SilentProgress):
    """A progress bar that breaks in a step."""

    def __init__(self, step: int) -> None:
        self._left = step

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt


def test_losses_and_weights_with_and_without_pictures_are_the_same_bit_for_bit(
    store: Store, tmp_path: Path
) -> None:
    how = Manner(onlookers=ONLOOKERS)
    pretrain(_recipe(), store, tmp_path / "with", _CPU, how=how)
    pretrain(_recipe(probe_epochs=0), store, tmp_path / "without", _CPU, how=how)
    assert sorted(_pictures(tmp_path / "with")) == [
        f"epoch-{epoch:04d}.png" for epoch in (0, 2, 4, 5)
    ]
    assert not (tmp_path / "without" / "reconstructions").exists()
    assert _learnt(tmp_path / "with") == _learnt(tmp_path / "without")
    first, second = (load_weights(tmp_path / name).state for name in ("with", "without"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_resumed_run_has_the_pictures_of_a_run_never_stopped(
    store: Store, tmp_path: Path
) -> None:
    how = Manner(onlookers=ONLOOKERS)
    pretrain(_recipe(), store, tmp_path / "whole", _CPU, how=how)
    with pytest.raises(KeyboardInterrupt):
        pretrain(_recipe(), store, tmp_path / "broken", _CPU, _Interrupt(6), how=how)
    assert "epoch-0005.png" not in _pictures(tmp_path / "broken")
    pretrain(_recipe(), store, tmp_path / "broken", _CPU, how=how)
    assert _pictures(tmp_path / "broken") == _pictures(tmp_path / "whole")


def test_even_a_picture_that_draws_random_numbers_changes_nothing(
    store: Store, tmp_path: Path
) -> None:
    seen: list[tuple[int, bool]] = []

    def make(*_: object) -> Any:
        def draw(state: Mapping[str, Tensor], epochs_done: int) -> bytes:
            torch.rand(7)
            seen.append((epochs_done, "decoder.predict.weight" in state))
            return b"picture"

        return draw

    how = Manner(onlookers=Onlookers(make_draw=make))
    pretrain(_recipe(), store, tmp_path / "with", _CPU, how=how)
    pretrain(_recipe(), store, tmp_path / "without", _CPU)
    assert seen == [(0, True), (2, True), (4, True), (5, True)]
    assert set(_pictures(tmp_path / "with").values()) == {b"picture"}
    assert _learnt(tmp_path / "with") == _learnt(tmp_path / "without")


def test_a_run_that_reconstructs_nothing_has_no_pictures(store: Store, tmp_path: Path) -> None:
    recipe = _recipe(objective="simclr")
    pretrain(recipe, store, tmp_path / "run", _CPU, how=Manner(onlookers=ONLOOKERS))
    assert not (tmp_path / "run" / "reconstructions").exists()


@pytest.mark.parametrize("is_contrast", [True, False])
def test_a_low_rank_is_an_alarm_for_contrast_only(is_contrast: bool) -> None:
    config = HealthConfig(collapse_grace_steps=3, collapse_window_steps=2)
    alarm = CollapseAlarm(config, 36, is_contrast)
    found = [alarm.judge(_step(step, {"effective_rank": 1.2})) for step in range(1, 9)]
    assert sum(each is not None for each in found) == is_contrast


def _step(step: int, figures: dict[str, float]) -> Record:
    return Record(
        kind="step",
        epoch=0,
        step=step,
        loss=1.0,
        parts={"mse": 1.0},
        figures=figures,
        gradient_norm=1.0,
        learning_rate=0.1,
        pairs_per_second=8.0,
        data_wait_share=0.25,
        seconds=2.0,
        skipped_steps=0,
    )
