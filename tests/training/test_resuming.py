"""A run that is stopped anywhere goes on as if it never had been, and never loses what it saved."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from neurofm.config.recipe import Recipe
from neurofm.errors import RunError
from neurofm.files import only_writer
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.store.reader import Store
from neurofm.training.checkpoints import find_checkpoint
from neurofm.training.fit import Manner, pretrain
from neurofm.training.position import Position
from neurofm.training.run_log import Record, RunLog, read_log
from neurofm.training.stopping import RunStoppedError

_CPU = torch.device("cpu")
_TIMES = ("seconds", "pairs_per_second", "data_wait_share")


class _Interruption(Exception):
    """Stands for anything that ends a run in the middle."""


class _At(SilentProgress):
    """Something that happens in a step."""

    def __init__(self, step: int, number: signal.Signals | None = None) -> None:
        self._left, self._signal = step, number

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left:
            return
        if self._signal is None:
            raise _Interruption
        os.kill(os.getpid(), self._signal)
        time.sleep(0.3)


def _changed(recipe: Recipe, **training: Any) -> Recipe:
    changes = {"batch_size": 2, "checkpoint_steps": 1} | training
    values = recipe.model_dump(mode="json")
    return Recipe.model_validate(values | {"training": values["training"] | changes})


def _log(folder: Path) -> list[dict[str, Any]]:
    """The log without durations."""
    lines = read_log(folder)
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def _same_run(one: Path, other: Path) -> bool:
    first, second = load_weights(one).state, load_weights(other).state
    return _log(one) == _log(other) and all(torch.equal(first[n], second[n]) for n in first)


def _position(folder: Path) -> Position:
    found = find_checkpoint(folder)
    assert found is not None
    return found.checkpoint.position


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((1, 1, 1), marks=pytest.mark.slow),
        (3, 1, 2),
        pytest.param((5, 2, 4), marks=pytest.mark.slow),
        pytest.param((6, 2, 4), marks=pytest.mark.slow),
        (7, 100, 6),
    ],
)
def test_a_run_interrupted_inside_an_epoch_goes_on_from_its_last_checkpoint(
    recipe: Recipe, store: Store, tmp_path: Path, case: tuple[int, int, int]
) -> None:
    """Case P2: the step, how often is saved, the step that was saved."""
    step, every, saved = case
    recipe = _changed(recipe, checkpoint_steps=every)
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    with pytest.raises(_Interruption):
        pretrain(recipe, store, tmp_path / "broken", _CPU, _At(step))
    assert _position(tmp_path / "broken").step == saved
    pretrain(recipe, store, tmp_path / "broken", _CPU)
    assert _same_run(tmp_path / "broken", tmp_path / "whole")


@pytest.mark.parametrize("optimizer", [pytest.param("adamw", marks=pytest.mark.slow), "lars"])
def test_other_optimisers_and_schedules_go_on_bit_for_bit(
    recipe: Recipe, store: Store, tmp_path: Path, optimizer: str
) -> None:
    """Case P2."""
    recipe = _changed(
        recipe, optimizer=optimizer, schedule="cosine", warmup_epochs=1.5, weight_decay=0.01
    )
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    with pytest.raises(_Interruption):
        pretrain(recipe, store, tmp_path / "broken", _CPU, _At(5))
    pretrain(recipe, store, tmp_path / "broken", _CPU)
    assert _same_run(tmp_path / "broken", tmp_path / "whole")
    rates = [line["learning_rate"] for line in read_log(tmp_path / "whole")]
    assert len(set(rates)) > 6


def test_a_run_stopped_at_the_boundary_of_epochs_repeats_and_skips_none(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P14."""
    recipe = _changed(recipe, checkpoint_steps=100)
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    with pytest.raises(_Interruption):
        pretrain(recipe, store, tmp_path / "broken", _CPU, _At(4))
    assert _position(tmp_path / "broken") == Position(epoch=1, step=3)
    pretrain(recipe, store, tmp_path / "broken", _CPU)
    assert _same_run(tmp_path / "broken", tmp_path / "whole")


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 75),
        pytest.param(signal.SIGUSR1, 75, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
    ],
)
def test_a_signal_saves_the_step_and_the_run_goes_on_bit_for_bit(
    recipe: Recipe, store: Store, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """Case P3."""
    recipe = _changed(recipe, checkpoint_steps=100)
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    said: list[str] = []
    with pytest.raises(RunStoppedError, match="stopped on request after step 2") as stopped:
        how = Manner(tell=said.append)
        pretrain(recipe, store, tmp_path / "broken", _CPU, _At(2, number), how=how)
    assert stopped.value.exit_status == status
    assert f"{number.name}: saving after this step." in said
    assert _position(tmp_path / "broken") == Position(epoch=0, step_in_epoch=2, step=2)
    pretrain(recipe, store, tmp_path / "broken", _CPU)
    assert _same_run(tmp_path / "broken", tmp_path / "whole")


def test_threads_and_how_often_is_saved_may_change_between_calls(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P13."""
    pretrain(_changed(recipe), store, tmp_path / "whole", _CPU, how=Manner(threads=0))
    for step, (every, threads) in enumerate(((1, 1), (2, 4), (1, 2)), start=1):
        with pytest.raises(_Interruption):
            again = _changed(recipe, checkpoint_steps=every)
            how = Manner(threads=threads)
            pretrain(again, store, tmp_path / "broken", _CPU, _At(step), how=how)
    pretrain(_changed(recipe), store, tmp_path / "broken", _CPU)
    assert _same_run(tmp_path / "broken", tmp_path / "whole")


def test_a_damaged_last_checkpoint_costs_one_step(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case 97."""
    recipe = _changed(recipe)
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    with pytest.raises(_Interruption):
        pretrain(recipe, store, tmp_path / "broken", _CPU, _At(5), how=Manner(keep=3))
    (tmp_path / "broken" / "last.pt").write_bytes(b"<html>")
    done = pretrain(recipe, store, tmp_path / "broken", _CPU)
    assert done.note.startswith("last.pt damaged or missing; went on from previous.pt, step")
    assert _same_run(tmp_path / "broken", tmp_path / "whole")


def test_steps_without_a_finite_loss_end_the_run_at_the_last_good_state(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    """Case P10: after one step at this rate the weights are finite, and nothing they give is."""
    recipe = _changed(recipe, learning_rate=1e37, max_skipped_in_a_row=4)
    folder = tmp_path / "run"
    message = r"4 steps in a row gave no finite loss .*saved as it was after step 1;"
    for _ in range(2):
        with pytest.raises(RunError, match=message):
            pretrain(recipe, store, folder, _CPU)
        assert _position(folder) == Position(step_in_epoch=1, step=1)
    steps = json.loads((folder / "not_finite.json").read_text())
    assert [step["step"] for step in steps] == [2, 3, 4, 5]
    skipped = [line for line in read_log(folder) if line.get("skipped_scans")]
    assert [line["skipped_scans"] for line in skipped] == [step["scans"] for step in steps]
    assert all(name.startswith("fake_p") for step in steps for name in step["scans"])


def test_a_run_folder_has_one_writer(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    """Case F5."""
    with only_writer(tmp_path / "run"), pytest.raises(RunError, match="another neurofm process"):
        pretrain(recipe, store, tmp_path / "run", _CPU)


def test_leftovers_of_a_killed_run_are_swept(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    """Case F7."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".unfinished-abc.pt").write_bytes(b"half")
    (folder / "next.pt").write_bytes(b"whole, but nobody knows its checksum")
    pretrain(recipe, store, folder, _CPU)
    assert not list(folder.glob(".unfinished-*"))
    assert not (folder / "next.pt").exists()


def test_a_full_disk_is_told_when_the_log_meets_it(tmp_path: Path) -> None:
    """Case F1."""
    record = Record("step", 0, 1, 1.0, {}, {}, 1.0, 0.1, 1.0, 0.1, 1.0, 0)
    message = r"/dev/full: cannot be written \(No space left on device\); make room"
    with (
        closing(SummaryWriter(str(tmp_path))) as events,
        Path("/dev/full").open("wb", buffering=0) as lines,
        pytest.raises(RunError, match=message),
    ):
        RunLog(lines, events).add(record)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


class _FillDisk(SilentProgress):
    """Fills a disk to its last byte in a step."""

    def __init__(self, step: int, disk: Path) -> None:
        self._left, self._disk = step, disk

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left == 0:
            with (self._disk / "filler").open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(4096))
                except OSError:
                    pass


def test_a_disk_that_fills_up_stops_the_run_which_goes_on_once_there_is_room(
    recipe: Recipe, store: Store, tmp_path: Path, small_disk: Path
) -> None:
    """Case F1."""
    recipe = _changed(recipe)
    pretrain(recipe, store, tmp_path / "whole", _CPU)
    with pytest.raises(RunError, match=r"No space left on device.*make room"):
        pretrain(recipe, store, small_disk / "run", _CPU, _FillDisk(4, small_disk))
    assert _position(small_disk / "run").step in (4, 5)
    assert not list((small_disk / "run").glob(".unfinished-*"))
    (small_disk / "filler").unlink()
    pretrain(recipe, store, small_disk / "run", _CPU)
    assert _same_run(small_disk / "run", tmp_path / "whole")


def test_too_little_room_for_checkpoints_is_told_before_any_step(
    recipe: Recipe, store: Store, small_disk: Path
) -> None:
    """Case F4."""
    encoder = recipe.encoder.model_copy(update={"widths": (16, 32, 64, 128)})
    large = recipe.model_copy(update={"encoder": encoder})
    message = r"3 checkpoints need about .* MB, but \d\.\d MB are free there; make room"
    with pytest.raises(RunError, match=message):
        pretrain(large, store, small_disk / "run", _CPU)
    assert not (small_disk / "run" / "log.jsonl").exists()


def test_a_read_only_folder_is_refused_before_any_work(
    recipe: Recipe, store: Store, small_disk: Path
) -> None:
    """Case F3."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(RunError, match="Read-only file system"):
        pretrain(recipe, store, small_disk / "run", _CPU)
