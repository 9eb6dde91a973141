"""`neurofm views`: look at the views of a recipe before training with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import err, out


def views(
    recipe: str,
    *overrides: str,
    store: Path | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = Path("views.png"),
    participants: int = 4,
) -> int:
    """Draw pairs of views of some participants, and name transforms that change nothing.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe.
    overrides
        Changes to it, each written section.key=value.
    store
        A folder made by neurofm pack; without one, phantoms are shown.
    output
        A .png, or an .html page with the effect of every transform.
    participants
        Rows of the picture.
    """
    from neurofm.config.recipe import load_recipe
    from neurofm.reports.views_page import write_views
    from neurofm.store.reader import open_store

    effective = load_recipe(recipe, overrides)
    opened = None if store is None else open_store(store)
    effects = write_views(effective, opened, output, participants)
    for effect in effects:
        if effect.warning:
            err.print(f"Note: {effect.warning}", markup=False, soft_wrap=True)
    out.print(f"Views: {output.resolve()}", markup=False, soft_wrap=True)
    return 0
