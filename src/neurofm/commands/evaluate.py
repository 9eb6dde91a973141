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
    weights: Annotated[list[str], Parameter(negative="")],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find out what linear probes and trained heads predict of a store's held-out people.

    Parameters
    ----------
    recipe
        Path of a YAML file or the name of a packaged recipe.
    overrides
        Changes to it, each written section.key=value.
    store
        Packed scans (neurofm pack).
    weights
        A run, or a folder of neurofm import-weights. Several, each as NAME=FOLDER, are compared
        with the first; those of one name are repeats of one model.
    output
        Folder for embeddings, predictions and results.
    allow_pretrain_overlap
        Evaluate participants the weights have seen, and say so in the results.
    allow_other_preprocessing
        Go on with scans preprocessed otherwise than the weights', and say so in the results.
    """
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
