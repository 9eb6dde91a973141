"""last.pt: written at each epoch's end, verified before it is used, with the one before it kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurofm.errors import RunError
from neurofm.files import atomic_path, read_json, sha256_of, write_json

LAST, PREVIOUS = "last.pt", "previous.pt"
_NEXT, _CHECKSUMS = "next.pt", "checkpoints.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything a run needs to go on as if it had never stopped.

    Attributes:
        epoch: epochs finished.
        step: steps finished.
        skipped_steps: steps left out because loss or gradient were not finite.
        model: the objective's tensors by name.
        optimizer: the optimiser's `state_dict`.
    """

    epoch: int
    step: int
    skipped_steps: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class FoundCheckpoint:
    """The newest sound checkpoint, with a note where a newer one had to be passed over."""

    checkpoint: Checkpoint
    note: str


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Make `checkpoint` the run's last one and the last one its previous one.

    The checksums of all checkpoints that may stand under either name are written before any file
    is moved: whenever the process dies, there is a checkpoint whose checksum is known.
    """
    with atomic_path(folder / _NEXT) as temporary:
        torch.save(vars(checkpoint), temporary)
    sound = _sound_checkpoints(folder)
    checksums = [sha256_of(folder / _NEXT), *sound.values()]
    write_json(folder / _CHECKSUMS, {"sha256": checksums})
    if LAST in sound:
        (folder / LAST).replace(folder / PREVIOUS)
    (folder / _NEXT).replace(folder / LAST)


def find_checkpoint(folder: Path) -> FoundCheckpoint | None:
    """The newest checkpoint that is whole; None in a run that has not finished an epoch.

    Raises:
        RunError: there are checkpoints, and none is whole.
    """
    sound = _sound_checkpoints(folder)
    if LAST in sound:
        return FoundCheckpoint(_read(folder / LAST), "")
    if PREVIOUS in sound:
        note = f"{LAST} is damaged or missing; went on from {PREVIOUS}, one epoch earlier"
        return FoundCheckpoint(_read(folder / PREVIOUS), note)
    damaged = [name for name in (LAST, PREVIOUS) if (folder / name).exists()]
    if damaged:
        raise RunError(f"{' and '.join(damaged)} are damaged", "start again in another -o", folder)
    return None


def _read(path: Path) -> Checkpoint:
    return Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))


def _sound_checkpoints(folder: Path) -> dict[str, str]:
    """Name and checksum of the checkpoints whose checksum is a known one, newest first."""
    try:
        known = [str(each) for each in read_json(folder / _CHECKSUMS)["sha256"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    present = {name: folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()}
    checksums = {name: sha256_of(path) for name, path in present.items()}
    return {name: checksum for name, checksum in checksums.items() if checksum in known}
