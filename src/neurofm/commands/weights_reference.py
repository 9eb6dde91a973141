"""What stands behind --weights: a reference becomes a folder; origin and terms are told."""

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
    """The weights that a reference names, on this machine; what a user has to know is printed."""
    from neurofm.models.references import locate

    found = locate(reference, BarProgress())
    if not out.quiet:
        for note in found.notes:
            err.print(f"Weights: {note}", markup=False, soft_wrap=True)
    show_origin(found.folder)
    return found


def show_origin(folder: Path) -> None:
    """Print whom to cite for weights that others made, and under which terms they may be used."""
    from neurofm.models.card import read_card
    from neurofm.models.suitability import origin_of

    if not out.quiet:
        for line in origin_of(read_card(folder)):
            err.print(line, markup=False, soft_wrap=True)
