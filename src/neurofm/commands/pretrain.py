"""`neurofm pretrain`: a recipe and a store become a run with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress
from neurofm.commands.training_run import finish, manner


def pretrain(
    recipe: str,
    *overrides: str,
    store: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    device: str = "auto",
    keep: int = 2,
    timeout_seconds: float = 600.0,
    join_seconds: float = 25.0,
) -> int:
    """Pre-train an encoder on a store; the same command continues an interrupted run.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe.
    overrides
        Changes to it, each written section.key=value.
    store
        A folder made by neurofm pack.
    output
        The run's folder.
    device
        auto, cpu, cuda or cuda:1.
    keep
        How many checkpoints stay.
    timeout_seconds
        The run ends where no scan comes, or a process keeps others waiting, for so long.
    join_seconds
        How long processes look for each other.
    """
    from neurofm.config.recipe import load_recipe
    from neurofm.store.reader import open_store
    from neurofm.training.device import choose_device
    from neurofm.training.fit import pretrain as carry_out

    chosen, place = load_recipe(recipe, overrides), choose_device(device)
    how = manner(keep, timeout_seconds, join_seconds)
    packed = open_store(store)
    return finish(lambda: carry_out(chosen, packed, output, place, BarProgress(), how=how), output)
