"""`neurofm pretrain`: a recipe and a store become a run with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, err, out


def pretrain(
    recipe: str,
    *overrides: str,
    store: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    device: str = "auto",
) -> int:
    """Pre-train an encoder on a store; the same command continues an interrupted run.

    Several GPUs: torchrun --nproc-per-node=N --no-python neurofm pretrain ...

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
    """
    from neurofm.config.recipe import load_recipe
    from neurofm.store.reader import open_store
    from neurofm.training import fit
    from neurofm.training.device import choose_device
    from neurofm.training.stopping import RunStoppedError

    effective = load_recipe(recipe, overrides)
    try:
        done = fit.pretrain(
            effective, open_store(store), output, choose_device(device), BarProgress(), tell=_tell
        )
    except RunStoppedError as stopped:
        _tell(str(stopped))
        return stopped.exit_status
    if done.skipped_steps:
        err.print(f"{done.skipped_steps} steps were skipped: no finite loss or gradient")
    if done.note:
        _tell(done.note)
    out.print(f"Weights: {output / 'weights.safetensors'}", markup=False, soft_wrap=True)
    return 0


def _tell(line: str) -> None:
    err.print(line, markup=False, soft_wrap=True)
