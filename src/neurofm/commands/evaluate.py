"""`neurofm evaluate`: embed, probe, compare with baselines, print the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress
from neurofm.config.recipe import load_recipe


def evaluate(
    recipe: str,
    *overrides: str,
    store: Path,
    weights: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find out what a linear probe reads from the frozen embeddings of a store's held-out scans.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe.
    overrides
        Changes to it, each written section.key=value.
    store
        Packed scans (neurofm pack).
    weights
        A pre-training run, or a folder of neurofm import-weights.
    output
        Folder for embeddings, predictions and results.
    allow_pretrain_overlap
        Evaluate participants the weights have seen, and say so in the results.
    allow_other_preprocessing
        Go on with scans preprocessed otherwise than the weights', and say so in the results.
    """
    from neurofm.commands.result_tables import print_results
    from neurofm.evaluation.protocol import evaluate as run_protocol
    from neurofm.store.reader import open_store

    run_protocol(
        load_recipe(recipe, overrides), open_store(store), weights, output,
        allow_overlap=allow_pretrain_overlap,
        allow_other_contract=allow_other_preprocessing, progress=BarProgress(),
    )  # fmt: skip
    print_results(output)
    return 0
