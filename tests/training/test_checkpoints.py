"""Checkpoints survive a crash at any moment and damage to the newest."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from neurofm.errors import RunError
from neurofm.files import sha256_of
from neurofm.training.checkpoints import Checkpoint, find_checkpoint, save_checkpoint
from neurofm.training.position import Position


def _checkpoint(epoch: int) -> Checkpoint:
    position = Position(epoch=epoch, step=10 * epoch)
    return Checkpoint(position, {"weight": torch.full((3,), float(epoch))}, {"a": [1]})


def _epoch_found(folder: Path) -> int:
    found = find_checkpoint(folder)
    assert found is not None
    return found.checkpoint.position.epoch


def _damage(path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    if kind == "flipped":
        data[len(data) // 2] ^= 1
    others = {
        "truncated": bytes(data[:100]),
        "empty": b"",
        "web page": b"<!DOCTYPE html><html>",
        "lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
    }
    path.write_bytes(others.get(kind, bytes(data)))


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _checkpoint(1))
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert (found.checkpoint.position, found.note) == (Position(epoch=1, step=10), "")
    assert torch.equal(found.checkpoint.model["weight"], torch.ones(3))
    assert found.checkpoint.optimizer == {"a": [1]}


def test_a_new_run_has_no_checkpoint(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path) is None


@pytest.mark.parametrize("kind", ["flipped", "truncated", "empty", "web page", "lfs pointer"])
def test_a_damaged_last_checkpoint_gives_way_to_the_previous_one(tmp_path: Path, kind: str) -> None:
    """Cases 97 and 98."""
    for epoch in (1, 2, 3):
        save_checkpoint(tmp_path, _checkpoint(epoch))
    _damage(tmp_path / "last.pt", kind)
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.checkpoint.position.epoch == 2
    assert "damaged" in found.note


def test_a_damaged_checkpoint_never_replaces_a_sound_one(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, _checkpoint(epoch))
    _damage(tmp_path / "last.pt", "flipped")
    save_checkpoint(tmp_path, _checkpoint(3))
    assert _epoch_found(tmp_path) == 3
    _damage(tmp_path / "last.pt", "flipped")
    assert _epoch_found(tmp_path) == 1


def test_two_damaged_checkpoints_are_an_error_and_not_a_new_start(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, _checkpoint(epoch))
    _damage(tmp_path / "last.pt", "flipped")
    _damage(tmp_path / "previous.pt", "truncated")
    with pytest.raises(RunError, match=r"last.pt and previous.pt are damaged"):
        find_checkpoint(tmp_path)


def test_a_crash_between_any_two_writes_leaves_a_usable_checkpoint(tmp_path: Path) -> None:
    for epoch in (1, 2):
        save_checkpoint(tmp_path, _checkpoint(epoch))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    save_checkpoint(tmp_path, _checkpoint(3))
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    new = {"next.pt": after["last.pt"]}
    checksums = {"checkpoints.json": after["checkpoints.json"]}
    moved = {"previous.pt": before["last.pt"]}
    without_last = {name: data for name, data in before.items() if name != "last.pt"}
    moments = [
        (before | new, 2),
        (before | new | checksums, 2),
        (without_last | new | checksums | moved, 2),
        (after, 3),
    ]
    for number, (files, epoch) in enumerate(moments):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        assert _epoch_found(folder) == epoch
        save_checkpoint(folder, _checkpoint(4))
        assert _epoch_found(folder) == 4
        _damage(folder / "last.pt", "flipped")
        assert _epoch_found(folder) == epoch


def test_the_last_few_are_kept_and_each_can_be_gone_on_from(tmp_path: Path) -> None:
    for epoch in range(1, 7):
        save_checkpoint(tmp_path, _checkpoint(epoch), keep=4)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [
        "last.pt",
        "previous-2.pt",
        "previous-3.pt",
        "previous.pt",
    ]
    for name, epoch in (("last", 5), ("previous", 4), ("previous-2", 3)):
        _damage(tmp_path / f"{name}.pt", "flipped")
        assert _epoch_found(tmp_path) == epoch
    save_checkpoint(tmp_path, _checkpoint(7), keep=4)
    assert _epoch_found(tmp_path) == 7
    _damage(tmp_path / "last.pt", "empty")
    assert _epoch_found(tmp_path) == 3


def test_fewer_are_kept_when_fewer_are_asked_for(tmp_path: Path) -> None:
    for epoch in range(1, 5):
        save_checkpoint(tmp_path, _checkpoint(epoch), keep=3)
    save_checkpoint(tmp_path, _checkpoint(5), keep=1)
    assert [path.name for path in tmp_path.glob("*.pt")] == ["last.pt"]
    assert _epoch_found(tmp_path) == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, value: float) -> None:
    """Case 101."""
    save_checkpoint(tmp_path, _checkpoint(1))
    bad = Checkpoint(Position(2, 0, 20), {"weight": torch.tensor([1.0, value])}, {})
    with pytest.raises(RunError, match=r"1 tensors hold NaN or Inf after step 20 \(weight\)"):
        save_checkpoint(tmp_path, bad)
    assert _epoch_found(tmp_path) == 1


def _put(folder: Path, content: object) -> None:
    """A last.pt of any content, with the checksum that makes it pass for ours."""
    torch.save(content, folder / "last.pt")
    checksums = {"sha256": [sha256_of(folder / "last.pt")]}
    (folder / "checkpoints.json").write_text(json.dumps(checksums))


def test_a_checkpoint_with_nan_is_not_gone_on_from(tmp_path: Path) -> None:
    """Case 101: no version that refuses to save such a one has written it."""
    old = {"epoch": 2, "step": 20, "skipped_steps": 0, "optimizer": {}}
    _put(tmp_path, old | {"model": {"a": torch.tensor([1.0, float("nan")])}})
    with pytest.raises(RunError, match=r"last.pt: 1 tensors hold NaN or Inf after step 20 \(a\)"):
        find_checkpoint(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    """Case 102."""
    _put(tmp_path, {"format": 99})
    with pytest.raises(RunError, match=r"its format is 99.*upgrade neurofm"):
        find_checkpoint(tmp_path)


def test_a_checkpoint_of_the_first_format_is_gone_on_from(tmp_path: Path) -> None:
    old = {"epoch": 2, "step": 20, "skipped_steps": 1, "model": {"a": torch.ones(1)}}
    _put(tmp_path, old | {"optimizer": {"b": 1}})
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert found.checkpoint.position == Position(epoch=2, step=20, skipped_steps=1)


def test_a_pickle_with_code_is_refused_and_never_runs(tmp_path: Path) -> None:
    """Case 99."""
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return os.mkdir, (str(canary),)

    _put(tmp_path, {"model": Attack()})
    with pytest.raises(RunError, match="none of it was run"):
        find_checkpoint(tmp_path)
    (tmp_path / "last.pt").write_bytes(pickle.dumps(Attack(), 2))
    checksums = {"sha256": [sha256_of(tmp_path / "last.pt")]}
    (tmp_path / "checkpoints.json").write_text(json.dumps(checksums))
    with pytest.raises(RunError, match="none of it was run"):
        find_checkpoint(tmp_path)
    assert not canary.exists()


_SAVE_TWICE = """
import sys, torch
from pathlib import Path
from neurofm.errors import RunError
from neurofm.training.checkpoints import Checkpoint, save_checkpoint
from neurofm.training.position import Position
folder = Path(sys.argv[1])
for step, size in ((1, 10), (2, 100_000)):
    try:
        save_checkpoint(folder, Checkpoint(Position(step, 0, step), {"w": torch.ones(size)}, {}))
    except RunError as error:
        print(error)
"""


def test_a_disk_that_fills_up_leaves_the_earlier_checkpoint(tmp_path: Path) -> None:
    """Case F1: a limit on the size of files acts as a full disk does."""
    done = subprocess.run(
        [sys.executable, "-c", _SAVE_TWICE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "cannot be written (File too large); make room, then repeat the command" in done.stdout
    assert _epoch_found(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints.json", "last.pt"]
