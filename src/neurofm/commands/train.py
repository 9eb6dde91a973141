"""`neurofm train`: a recipe, a store and its labels become a run with weights and a head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress
from neurofm.commands.training_run import finish, manner
from neurofm.commands.weights_reference import folder_of


def train(
    recipe: str,
    *overrides: str,
    store: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    weights: str | None = None,
    device: str = "auto",
    keep: int = 2,
    timeout_seconds: float = 600.0,
    join_seconds: float = 25.0,
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train on a label, from scratch or from weights; the same command continues.

    Args:
        recipe: path of a YAML file or the name of a packaged recipe.
        overrides: changes to it, each written section.key=value.
        store: a folder made by neurofm pack.
        output: the run's folder.
        weights: to start from: a run, a bundle, hf://OWNER/NAME[@REVISION] or a checkpoint.
        device: auto, cpu, cuda or cuda:1.
        keep: how many checkpoints stay.
        timeout_seconds: the run ends where no scan comes, or others are kept waiting, for so long.
        join_seconds: how long processes look for each other.
        allow_pretrain_overlap: validate and test on participants the weights have seen.
        allow_other_preprocessing: go on with scans preprocessed otherwise than the weights'.
    """
    from neurofm.config.recipe import load_recipe
    from neurofm.store.reader import open_store
    from neurofm.training.device import choose_device
    from neurofm.training.fit import StartingPoint
    from neurofm.training.fit import train as carry_out

    chosen, place = load_recipe(recipe, overrides), choose_device(device)
    folder = None if weights is None else folder_of(weights)
    start = StartingPoint(folder, allow_pretrain_overlap, allow_other_preprocessing)
    how = manner(keep, timeout_seconds, join_seconds)
    packed = open_store(store)
    return finish(
        lambda: carry_out(chosen, packed, output, place, BarProgress(), start=start, how=how),
        output,
    )
