"""A recipe as pages show it: all of it, but no path of the machine it ran on."""

from __future__ import annotations

from pathlib import Path

from neurofm.config.recipe import Recipe
from neurofm.config.show import recipe_as_yaml


def recipe_to_show(recipe: Recipe) -> str:
    """The recipe as YAML without explanations; of a template's path only the name."""
    template = Path(recipe.preprocess.template).name
    preprocess = recipe.preprocess.model_copy(update={"template": template})
    shown = recipe.model_copy(update={"preprocess": preprocess})
    return recipe_as_yaml(shown, explained=False)
