"""What may stand for weights: a folder, a repository of the hub, or a published checkpoint."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from neurofm.errors import WeightsError
from neurofm.models.checksums import CHECKSUMS_FILE, PARTS
from neurofm.models.hub import is_hub_reference, parse_hub_reference
from neurofm.models.import_report import read_report
from neurofm.models.imported import imported
from neurofm.models.pulling import pull
from neurofm.progress import Progress, SilentProgress


@dataclass(frozen=True)
class Located:
    """Weights that lie on this machine.

    Attributes:
        folder: holds them.
        name: the last part of the reference, as a short name.
        notes: where they come from and how much of a checkpoint was loaded, in plain words; none
            for a folder of neurofm's own weights.
    """

    folder: Path
    name: str
    notes: tuple[str, ...] = ()


def locate(reference: str | Path, progress: Progress | None = None) -> Located:
    """The folder of the weights that a reference names; pulled or imported first, where need be.

    Args:
        reference: a folder of weights; "hf://OWNER/NAME" or "hf://OWNER/NAME@REVISION"; or the file
            of a checkpoint as its authors publish it.
        progress: shown the course of a pull.

    Raises:
        MissingDependencyError: the hub's client is needed and not installed.
        WeightsError: the reference is malformed, or what it names cannot be found, opened, reached
            or used.
        RunError: there is no room, or no right to write, for what is pulled or imported.
    """
    text = os.fspath(reference)
    if is_hub_reference(text):
        hub = parse_hub_reference(text)
        pulled = pull(hub, progress or SilentProgress())
        return Located(pulled.folder, hub.name, (f"{hub} at {pulled.commit}", *pulled.notes))
    path = Path(text)
    if path.name in (*PARTS, CHECKSUMS_FILE) and path.is_file():
        raise WeightsError("is a part of weights", f"give its folder: {path.parent}", path)
    if path.is_file():
        folder = imported(path)
        notes = (f"{path} as imported in {folder}", *_coverage(folder))
        return Located(folder, path.name.partition(".")[0], notes)
    return Located(path, path.resolve().name, _coverage(path))


def _coverage(folder: Path) -> tuple[str, ...]:
    report = read_report(folder)
    return (report.in_words(),) if report else ()
