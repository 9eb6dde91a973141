"""What stands behind --weights: a reference becomes a folder, and where it came from is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurofm.commands.console import BarProgress, err, out

if TYPE_CHECKING:
    from pathlib import Path

    from neurofm.models.references import Located


def folder_of(reference: str) -> Path:
    """The folder of the weights that a reference names, pulled or imported first where need be."""
    return located(reference).folder


def located(reference: str) -> Located:
    """The weights that a reference names, on this machine."""
    from neurofm.models.references import locate

    found = locate(reference, BarProgress())
    if not out.quiet:
        for note in found.notes:
            err.print(f"Weights: {note}", markup=False, soft_wrap=True)
    return found
