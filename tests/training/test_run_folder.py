"""A run folder is judged by what its files hold: not by their dates, nor by who wrote them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import RunError, WeightsError
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.checkpoints import Checkpoint, find_checkpoint, save_checkpoint
from neurofm.training.fit import pretrain
from neurofm.training.position import Position
from neurofm.training.run_log import read_log

_CPU = torch.device("cpu")
_TIMES = ("seconds", "pairs_per_second", "data_wait_share")


class _EndedAt(SilentProgress):
    """Raises an error in a step."""

    def __init__(self, step: int, error: Exception) -> None:
        self._left, self._error = step, error

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left == 0:
            raise self._error


@pytest.fixture
def short(recipe: Recipe) -> Recipe:
    changes = {"epochs": 2, "batch_size": 2, "checkpoint_steps": 1}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=changes)})


def _begun(recipe: Recipe, store: Store, folder: Path, steps: int) -> Path:
    with pytest.raises(KeyError):
        pretrain(recipe, store, folder, _CPU, _EndedAt(steps, KeyError("a test")))
    return folder


def _log(folder: Path) -> list[dict[str, Any]]:
    lines = read_log(folder)
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def _same_run(one: Path, other: Path) -> bool:
    first, second = load_weights(one).state, load_weights(other).state
    return _log(one) == _log(other) and all(torch.equal(first[n], second[n]) for n in first)


def test_a_run_on_another_store_is_refused(
    short: Recipe, store: Store, fake: SimpleNamespace, tmp_path: Path
) -> None:
    """Case 104: one scan more, or another preprocessing, is another store."""
    folder = _begun(short, store, tmp_path / "run", 1)
    pack(fake.write(tmp_path / "more", 13), tmp_path / "store-13", StoreConfig(spacing_mm=6.0))
    with pytest.raises(RunError, match="this run was started on another store"):
        pretrain(short, open_store(tmp_path / "store-13"), folder, _CPU)
    store.contract = fake.contract("another template")
    with pytest.raises(RunError, match="this run was started on another store"):
        pretrain(short, store, folder, _CPU)


def test_a_checkpoint_of_another_architecture_is_refused_with_counts_and_names(
    short: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case 100."""
    folder = _begun(short, store, tmp_path / "run", 1)
    found = find_checkpoint(folder)
    assert found is not None
    model = dict(found.checkpoint.model)
    model["encoder.blocks.0.weight"] = model.pop("encoder.conv1.weight")
    save_checkpoint(folder, Checkpoint(Position(step=2), model, found.checkpoint.optimizer))
    message = r"1 missing \(encoder.conv1.weight\), 1 unexpected \(encoder.blocks.0.weight\)"
    with pytest.raises(WeightsError, match=message):
        pretrain(short, store, folder, _CPU)
    assert not (folder / "weights.safetensors").exists()


def test_the_dates_of_files_mean_nothing(short: Recipe, store: Store, tmp_path: Path) -> None:
    """Case F8: the newest checkpoint is dated before the oldest, the log after today."""
    pretrain(short, store, tmp_path / "whole", _CPU)
    folder = _begun(short, store, tmp_path / "run", 4)
    dates = {"last.pt": 0, "previous.pt": 4_000_000_000, "log.jsonl": 4_000_000_000}
    for path in [path for path in (*folder.rglob("*"), *store.folder.rglob("*")) if path.is_file()]:
        os.utime(path, (dates.get(path.name, 1),) * 2)
    pretrain(short, open_store(store.folder), folder, _CPU)
    assert _same_run(folder, tmp_path / "whole")


def test_a_run_needs_no_other_folder_than_its_own(
    short: Recipe, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case F6: what is moved into place was written beside it, on the same file system."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not-there"))
    pretrain(short, store, tmp_path / "run", _CPU)
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["derivatives", "run", "store"]


def test_a_full_memory_within_an_epoch_costs_no_step_that_was_saved(
    short: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P9."""
    pretrain(short, store, tmp_path / "whole", _CPU)
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB.")
    with pytest.raises(RunError, match="the GPU's memory is full with 2 participants"):
        pretrain(short, store, tmp_path / "run", _CPU, _EndedAt(5, full))
    found = find_checkpoint(tmp_path / "run")
    assert found is not None
    assert found.checkpoint.position == Position(epoch=1, step_in_epoch=2, step=5)
    pretrain(short, store, tmp_path / "run", _CPU)
    assert _same_run(tmp_path / "run", tmp_path / "whole")
