"""neurofm preprocess: every scan of an index to MNI152, stripped, labelled, normalised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def preprocess(
    index: Path,
    /,
    *overrides: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    recipe: Annotated[str, Parameter(name=["--recipe", "-r"])] = "simclr-paper",
    workers: Annotated[int | None, Parameter(name=["--workers", "-j"])] = None,
) -> int:
    """Bring raw scans to MNI152: stripped, bias-corrected, labelled, normalised.

    The same command continues an interrupted run and keeps what is finished. Scans that cannot be
    used are listed in failures.csv; the exit status is then 1.

    Parameters
    ----------
    index
        index.parquet written by `neurofm index`.
    overrides
        settings of the recipe as section.key=value, e.g. preprocess.spacing_mm=3.
    output
        folder of the derivatives.
    recipe
        recipe (name or path) whose `preprocess` section is used.
    workers
        processes side by side; as many as cores and memory allow where not given. 0 works in the
        command's own process. The results do not depend on it.
    """
    from neurofm.cohorts.index import read_index
    from neurofm.commands.console import BarProgress, err, out
    from neurofm.config.recipe import load_recipe
    from neurofm.preprocess.batch import preprocess_index
    from neurofm.preprocess.workers import suggested_workers

    config = load_recipe(recipe, overrides).preprocess
    workers = suggested_workers() if workers is None else workers
    frame = read_index(index)
    result = preprocess_index(frame, output, config, workers, BarProgress())
    out.print(f"{output}: {result.finished} scans prepared, {result.reused} were there already")
    for failure in result.failures:
        err.print(f"{failure}", markup=False, soft_wrap=True)
    if result.failures:
        err.print(f"{len(result.failures)} scans failed: {output / 'failures.csv'}")
    return 1 if result.failures else 0
