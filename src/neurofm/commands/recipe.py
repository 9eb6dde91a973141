"""`neurofm recipe`: list recipes and show one in full."""

from __future__ import annotations

from cyclopts import App

from neurofm.config.recipe import load_recipe, packaged_recipes
from neurofm.config.show import recipe_as_yaml

app = App(name="recipe", help="Show and list recipes.")


@app.command
def show(recipe: str, *overrides: str) -> int:
    """Print the complete effective recipe: every value with its unit and reason.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe.
    overrides
        Changes to it, each written section.key=value.
    """
    from neurofm.commands.console import out

    text = recipe_as_yaml(load_recipe(recipe, overrides))
    out.print(text, markup=False, soft_wrap=True, end="")
    return 0


@app.command(name="list")
def list_() -> int:
    """List the recipes that come with neurofm."""
    from neurofm.commands.console import out

    for name, path in packaged_recipes().items():
        first_line = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        out.print(f"{name:20s} {first_line}", markup=False, soft_wrap=True)
    return 0
