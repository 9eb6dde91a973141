"""neurofm preprocess: every scan of an index to MNI152, stripped, labelled, normalised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.many_scans import ManyScans

_DEFAULTS = ManyScans()


def preprocess(
    index: Path,
    /,
    *overrides: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    recipe: Annotated[str, Parameter(name=["--recipe", "-r"])] = "simclr-paper",
    many: ManyScans = _DEFAULTS,
) -> int:
    """Bring raw scans to MNI152: stripped, bias-corrected, labelled, normalised.

    The same command continues an interrupted run. Unusable scans are listed in failures.csv (exit
    status 1); quality.html shows all others.

    Parameters
    ----------
    index
        index.parquet written by `neurofm index`.
    overrides
        Settings of the recipe as section.key=value, e.g. preprocess.spacing_mm=3.
    output
        Folder of the derivatives.
    recipe
        Recipe (name or path) for its `preprocess` section.
    """
    from neurofm.cohorts.index import read_index
    from neurofm.commands.console import BarProgress, out, show_problems
    from neurofm.config.recipe import load_recipe
    from neurofm.preprocess.batch import preprocess_index
    from neurofm.reports.quality_page import write_quality_page

    result = preprocess_index(
        read_index(index),
        output,
        load_recipe(recipe, overrides).preprocess,
        many.worker_count(),
        BarProgress(),
        cluster=many.dask,
        scan_minutes=many.scan_minutes,
        layout=many.layout,
        verify=many.verify,
    )
    status = show_problems(result.notes, result.failures)
    failed = f", {len(result.failures)} failed: {output / 'failures.csv'}" if status else ""
    done = f"{result.finished} scans prepared, {result.reused} were there already{failed}"
    out.print(f"{output}: {done}\n{write_quality_page(output)}", markup=False, soft_wrap=True)
    return status
