"""`neurofm run`: the whole path of a recipe, from scans (or phantoms) to the report."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, err, out
from neurofm.config.recipe import load_recipe
from neurofm.errors import ConfigError


def run(
    recipe: str,
    *overrides: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    source: Annotated[tuple[Path, ...], Parameter(name="--source")] = (),
    workers: int = os.cpu_count() or 1,
) -> int:
    """Index, split, preprocess, pack, train, evaluate and report, in one resumable command.

    Args:
        recipe: path of a YAML file or the name of a packaged recipe, or of a study.
        overrides: changes to it, each written section.key=value.
        output: folder for everything that is made; the same command continues there.
        source: scans: BIDS or IXI folders, tables, folders of NIfTI. Without any, phantoms.
        workers: processes that work on scans, or on a study's cells, side by side.
    """
    from neurofm.config.study import find_study

    if find_study(recipe) is not None:
        from neurofm.commands.study_path import run_whole_study

        return run_whole_study(recipe, overrides, source, output, workers)
    from neurofm.commands.cohort_table import cohort_table
    from neurofm.commands.result_tables import print_results
    from neurofm.training.stopping import RunStoppedError
    from neurofm.workflow import run_recipe

    effective = load_recipe(recipe, overrides)
    if not source and not effective.phantom.participants:
        raise ConfigError(
            "the recipe has no phantoms and no --source was given", "add --source FOLDER", recipe
        )
    tell = partial(err.print, markup=False, soft_wrap=True)
    try:
        done = run_recipe(effective, source, output, workers, BarProgress(), tell=tell)
    except RunStoppedError as stopped:
        tell(str(stopped))
        return stopped.exit_status
    out.print(cohort_table(done.indexed))
    for failure in done.failures:
        tell(f"{failure.path}: {failure.reason}")
    print_results(done.evaluation)
    out.print(f"\nReport: {done.page.resolve()}", markup=False, soft_wrap=True)
    return 1 if done.failures else 0
