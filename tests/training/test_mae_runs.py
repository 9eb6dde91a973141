"""Pre-training a masked autoencoder: the same loop, folder and promises as SimCLR's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ConfigError
from neurofm.models.weights import load_encoder, load_weights
from neurofm.progress import SilentProgress
from neurofm.store.reader import Store
from neurofm.training.fit import Manner, pretrain
from neurofm.training.run_log import read_log

_CPU = torch.device("cpu")


class _InterruptAfter(SilentProgress):
    def __init__(self, batches: int) -> None:
        self._left = batches

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


def _recipe(**encoder: Any) -> Recipe:
    vit = {"kind": "vit", "width": 24, "depth": 2, "heads": 3, "patch_voxels": [5, 8, 8]}
    mae = {"kind": "mae", "decoder_width": 18, "decoder_depth": 1, "decoder_heads": 3}
    training = {
        "epochs": 3, "batch_size": 3, "optimizer": "adamw", "betas": [0.9, 0.95],
        "weight_decay": 0.05, "learning_rate": 1e-3, "schedule": "cosine", "warmup_epochs": 1,
        "checkpoint_steps": 1,
    }  # fmt: skip
    return check_recipe(
        {
            "name": "tiny-mae",
            "store": {"spacing_mm": 6},
            "encoder": vit | encoder,
            "objective": mae,
            "training": training,
        },
        "a test",
    )


def _losses(folder: Path) -> list[tuple[Any, ...]]:
    keys = ("kind", "step", "loss", "mse_brain_patches", "gradient_norm", "learning_rate")
    return [tuple(line.get(key) for key in keys) for line in read_log(folder)]


def test_a_run_leaves_an_encoder_and_a_decoder(store: Store, tmp_path: Path) -> None:
    pretrain(_recipe(), store, tmp_path / "run", _CPU)
    assert load_encoder(tmp_path / "run")(torch.zeros(2, 1, 25, 32, 32)).shape == (2, 24)
    loaded = load_weights(tmp_path / "run")
    assert "decoder.mask_token" in loaded.state
    assert loaded.card.features == 24
    assert "vision transformer encoder pre-trained as a masked" in loaded.card.description


def test_every_line_of_the_log_tells_both_errors(store: Store, tmp_path: Path) -> None:
    pretrain(_recipe(), store, tmp_path / "run", _CPU)
    for line in read_log(tmp_path / "run"):
        assert line["parts"] == {"mse": line["loss"]}
        assert line["mse_all_patches"] == pytest.approx(line["loss"], rel=1e-6)
        assert line["mse_brain_patches"] > 0
        assert "uniformity" not in line


@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_an_interrupted_run_goes_on_bit_for_bit(store: Store, tmp_path: Path, batches: int) -> None:
    pretrain(_recipe(), store, tmp_path / "whole", _CPU)
    with pytest.raises(KeyboardInterrupt):
        pretrain(_recipe(), store, tmp_path / "run", _CPU, _InterruptAfter(batches))
    pretrain(_recipe(), store, tmp_path / "run", _CPU)
    assert _losses(tmp_path / "run") == _losses(tmp_path / "whole")
    ours, theirs = (load_weights(tmp_path / name).state for name in ("run", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_threads_change_no_number(store: Store, tmp_path: Path) -> None:
    for threads in (0, 2):
        pretrain(_recipe(), store, tmp_path / str(threads), _CPU, how=Manner(threads=threads))
    assert _losses(tmp_path / "0") == _losses(tmp_path / "2")


def test_a_patch_that_does_not_fit_stops_before_anything_is_written(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="the nearest that do are 5 and 25"):
        pretrain(_recipe(patch_voxels=[7, 8, 8]), store, tmp_path / "run", _CPU)
    assert not (tmp_path / "run").exists()
