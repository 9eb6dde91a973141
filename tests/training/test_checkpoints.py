"""Checkpoints survive a crash at any moment and damage to the newest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neurofm.errors import RunError
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
    path.write_bytes({"truncated": bytes(data[:100]), "empty": b""}.get(kind, bytes(data)))


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, _checkpoint(1))
    found = find_checkpoint(tmp_path)
    assert found is not None
    assert (found.checkpoint.position, found.note) == (Position(1, 0, 10, 0, 0), "")
    assert torch.equal(found.checkpoint.model["weight"], torch.ones(3))
    assert found.checkpoint.optimizer == {"a": [1]}


def test_a_new_run_has_no_checkpoint(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path) is None


@pytest.mark.parametrize("kind", ["flipped", "truncated", "empty"])
def test_a_damaged_last_checkpoint_gives_way_to_the_previous_one(tmp_path: Path, kind: str) -> None:
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
