"""`neurofm evaluate`: embed, probe, compare with baselines, print the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress
from neurofm.config.recipe import load_recipe
from neurofm.errors import ConfigError


def evaluate(
    recipe: str,
    *overrides: str,
    store: Path,
    weights: Annotated[list[str] | None, Parameter(negative="")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    workers: Annotated[int | None, Parameter(name=["--workers", "-j"])] = None,
    dask: str | None = None,
    device: str = "auto",
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find out what linear probes and trained heads predict of a store's held-out people.

    A study, such as `paper`, trains every cell of its table first: tasks x models x seeds x shares
    of the training part. The same command continues it.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe, or of a study.
    overrides
        Changes to it, each written section.key=value.
    store
        Packed scans (neurofm pack).
    weights
        A run, or a folder of neurofm import-weights. Several, each as NAME=FOLDER, are compared
        with the first; those of one name are repeats of one model. Of a study: NAME=FOLDER for
        each of its pre-trainings.
    output
        Folder for embeddings, predictions and results.
    workers
        Cells of a study that are trained side by side; one a core where there is no GPU.
    dask
        Have the workers of a dask cluster train a study's cells: address or file of its scheduler.
    device
        Where a study trains: auto, cpu, cuda or cuda:1.
    allow_pretrain_overlap
        Evaluate participants the weights have seen, and say so in the results.
    allow_other_preprocessing
        Go on with scans preprocessed otherwise than the weights', and say so in the results.
    """
    from neurofm.config.study import find_study

    if find_study(recipe) is not None:
        from neurofm.commands.study import chosen_machinery, evaluate_study
        from neurofm.study.opened import Allowed

        machinery = chosen_machinery(workers, dask, device)
        allowed = Allowed(allow_pretrain_overlap, allow_other_preprocessing)
        return evaluate_study(recipe, overrides, store, weights or [], output, machinery, allowed)
    if not weights or workers is not None or dask is not None:
        raise ConfigError(
            "is no study" if weights else "names no weights",
            "leave --workers and --dask out" if weights else "add --weights RUN", recipe,
        )  # fmt: skip
    from neurofm.commands.result_tables import print_results
    from neurofm.evaluation.given import parse_given
    from neurofm.evaluation.protocol import evaluate as run_protocol
    from neurofm.store.reader import open_store

    run_protocol(
        load_recipe(recipe, overrides), open_store(store), list(map(parse_given, weights)), output,
        allow_overlap=allow_pretrain_overlap,
        allow_other_contract=allow_other_preprocessing, progress=BarProgress(),
    )  # fmt: skip
    print_results(output)
    return 0
