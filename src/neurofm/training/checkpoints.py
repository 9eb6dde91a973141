"""last.pt and those before it: written whole, verified before use, the last few kept."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurofm.errors import RunError
from neurofm.files import atomic_path, read_json, require_room, sha256_of, write_json
from neurofm.training.position import Position

LAST, PREVIOUS = "last.pt", "previous.pt"
_NEXT, _CHECKSUMS = "next.pt", "checkpoints.json"
_FORMAT = 3  # 1 had no place inside an epoch, 2 no bad scans
_SHOWN_NAMES = 5


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on as if it had never stopped.

    Order of the scans, views, learning rate and the state of torch's generators are functions of
    the recipe's seed and the position; bf16 needs no gradient scaler. So no more is to be kept.

    Attributes:
        position: how far the run had come.
        model: the objective's tensors by name.
        optimizer: the optimiser's `state_dict`.
    """

    position: Position
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class FoundCheckpoint:
    """The newest sound checkpoint, with a note where a newer one had to be passed over."""

    checkpoint: Checkpoint
    note: str


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> None:
    """Make `checkpoint` the run's last one, the last one its previous one, and so on.

    The checksums of all checkpoints that may stand under any name are written before a file is
    moved: whenever the process dies, there is a checkpoint whose checksum is known.

    Args:
        folder: the run's.
        checkpoint: with finite weights.
        keep: checkpoints that stay, this one included.

    Raises:
        RunError: a weight is NaN or infinite, or the disk is full; the earlier ones are untouched.
    """
    if bad := _not_finite(checkpoint):
        mend = "lower the learning rate in another -o; the last checkpoint is sound"
        raise RunError(f"{bad}; not saved", mend, folder)
    with atomic_path(folder / _NEXT) as temporary:
        # torch turns a full disk into an error of its own, so it does not write the file itself.
        temporary.write_bytes(_as_bytes(checkpoint).getbuffer())
    sound = _sound_checkpoints(folder)
    checksums = [sha256_of(folder / _NEXT), *sound.values()]
    write_json(folder / _CHECKSUMS, {"sha256": checksums})
    # Each sound one moves back by one place where the one before it needs its place, oldest first.
    numbers = [_number(name) for name in sound]
    for newer, number in reversed(list(enumerate(numbers))):
        if number == newer:
            (folder / _name(number)).replace(folder / _name(number + 1))
    (folder / _NEXT).replace(folder / LAST)
    for name in _present(folder):
        if _number(name) >= keep:
            (folder / name).unlink()


def require_room_for_checkpoints(folder: Path, model: Mapping[str, Tensor], keep: int) -> None:
    """Refuse a run whose checkpoints the file system has no room for.

    Args:
        folder: the run's; the checkpoints it holds already count as room.
        model: the objective's tensors; the optimiser holds up to two numbers more for each.
        keep: checkpoints that stay; another one is written before the oldest goes.

    Raises:
        RunError: there is too little room.
    """
    one = 3 * sum(tensor.numel() * tensor.element_size() for tensor in model.values())
    there = sum((folder / name).stat().st_size for name in _present(folder))
    wanted = (keep + 1) * one - there
    require_room(folder, max(0, wanted), keep + 1, f"{keep + 1} checkpoints")


def find_checkpoint(folder: Path) -> FoundCheckpoint | None:
    """The newest checkpoint that is whole; None in a run that has saved none.

    Raises:
        RunError: there are checkpoints and none is whole, or it is of a newer format, or holds NaN.
    """
    present, sound = _present(folder), _sound_checkpoints(folder)
    if not sound:
        if present:
            damaged = f"{' and '.join(present)} are damaged"
            raise RunError(damaged, "start again in another -o", folder)
        return None
    name = next(iter(sound))
    checkpoint = _read(folder / name)
    if bad := _not_finite(checkpoint):
        raise RunError(bad, "start again in another -o", folder / name)
    if name == LAST:
        return FoundCheckpoint(checkpoint, "")
    passed_over = ", ".join(_name(number) for number in range(_number(name)))
    note = f"{passed_over} damaged or missing; went on from {name}"
    return FoundCheckpoint(checkpoint, f"{note}, step {checkpoint.position.step}")


def _as_bytes(checkpoint: Checkpoint) -> io.BytesIO:
    content = vars(checkpoint) | {"format": _FORMAT, "position": vars(checkpoint.position)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer


def _read(path: Path) -> Checkpoint:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        version = content.pop("format", 1)
    except (pickle.UnpicklingError, RuntimeError, AttributeError) as error:
        what = f"is no checkpoint of neurofm; none of it was run ({type(error).__name__})"
        raise RunError(what, "start again in another -o", path) from None
    if version > _FORMAT:
        raise RunError(
            f"its format is {version}, newer than this neurofm reads ({_FORMAT})",
            "upgrade neurofm",
            path,
        )
    if version == 1:
        names = ("epoch", "step", "skipped_steps")
        content["position"] = {name: content.pop(name) for name in names}
    return Checkpoint(**content | {"position": Position(**content["position"])})


def _not_finite(checkpoint: Checkpoint) -> str:
    """Which tensors hold NaN or Inf, in words; empty where none does."""
    bad = [name for name, each in checkpoint.model.items() if not bool(torch.isfinite(each).all())]
    shown = ", ".join(bad[:_SHOWN_NAMES])
    place = f"after step {checkpoint.position.step} ({shown})"
    return f"{len(bad)} tensors hold NaN or Inf {place}" if bad else ""


def _sound_checkpoints(folder: Path) -> dict[str, str]:
    """Name and checksum of the checkpoints whose checksum is a known one, newest first."""
    try:
        known = [str(each) for each in read_json(folder / _CHECKSUMS)["sha256"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    checksums = {name: sha256_of(folder / name) for name in _present(folder)}
    return {name: checksum for name, checksum in checksums.items() if checksum in known}


def _present(folder: Path) -> list[str]:
    older = folder.glob(PREVIOUS.replace(".", "-[0-9]*."))
    names = [LAST, PREVIOUS, *(path.name for path in older)]
    return sorted((name for name in names if (folder / name).is_file()), key=_number)


def _name(number: int) -> str:
    """last.pt, previous.pt, previous-2.pt, ..."""
    return (LAST, PREVIOUS)[number] if number < 2 else PREVIOUS.replace(".", f"-{number}.")


def _number(name: str) -> int:
    if name in (LAST, PREVIOUS):
        return (LAST, PREVIOUS).index(name)
    return int(name.removesuffix(".pt").removeprefix("previous-"))
