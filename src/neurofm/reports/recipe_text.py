"""A recipe as pages show it: all of it, but no path of the machine it ran on and no scan."""

from __future__ import annotations

from pathlib import Path

from neurofm.config.recipe import Recipe
from neurofm.config.show import recipe_as_yaml


def recipe_to_show(recipe: Recipe) -> str:
    """The recipe as YAML without explanations.

    Of a template's path only the name stays, and of scans let in by name only how many there are.
    """
    template = Path(recipe.preprocess.template).name
    preprocess = recipe.preprocess.model_copy(update={"template": template})
    let_in = len(recipe.store.include_failed)
    names = (f"{let_in} scans, not named here",) if let_in else ()
    store = recipe.store.model_copy(update={"include_failed": names})
    shown = recipe.model_copy(update={"preprocess": preprocess, "store": store})
    return recipe_as_yaml(shown, explained=False)
