"""`neurofm train`: a recipe, a store and its labels become a run with weights and a head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, end_at_once, out, say_at_once


def train(
    recipe: str,
    *overrides: str,
    store: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    weights: Path | None = None,
    device: str = "auto",
    keep: int = 2,
    timeout_seconds: float = 600,
    join_seconds: float = 25,
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Train on a label, from scratch or from weights; the same command continues.

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
    weights
        A pre-training run, or a folder of neurofm import-weights, to start from.
    device
        auto, cpu, cuda or cuda:1.
    keep
        How many checkpoints stay.
    timeout_seconds
        The run ends where no scan comes, or a process keeps others waiting, for so long.
    join_seconds
        How long processes look for each other.
    allow_pretrain_overlap
        Validate and test on participants the weights have seen.
    allow_other_preprocessing
        Go on with scans preprocessed otherwise than the weights'.
    """
    from neurofm.config.recipe import load_recipe
    from neurofm.reports.onlookers import ONLOOKERS
    from neurofm.store.reader import open_store
    from neurofm.training import fit, stopping
    from neurofm.training.device import choose_device

    how = fit.Manner(keep, timeout_seconds, join_seconds, say_at_once, end_at_once, ONLOOKERS)
    start = fit.StartingPoint(weights, allow_pretrain_overlap, allow_other_preprocessing)
    chosen, place = load_recipe(recipe, overrides), choose_device(device)
    try:
        done = fit.train(
            chosen, open_store(store), output, place, BarProgress(), start=start, how=how
        )
    except stopping.RunStoppedError as stopped:
        say_at_once(str(stopped))
        return stopped.exit_status
    if not out.quiet:
        say_at_once(*done.notes)
    out.print(f"Weights: {output / 'weights.safetensors'}", markup=False, soft_wrap=True)
    return 0
