"""`neurofm evaluate`: embed, probe, compare with baselines, print the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, err, out
from neurofm.config.recipe import load_recipe


def evaluate(
    recipe: str,
    *overrides: str,
    store: Path,
    weights: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
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
    """
    from neurofm.evaluation.protocol import evaluate as run_protocol
    from neurofm.store.reader import open_store

    run_protocol(
        load_recipe(recipe, overrides), open_store(store), weights, output,
        allow_overlap=allow_pretrain_overlap, progress=BarProgress(),
    )  # fmt: skip
    print_results(output)
    return 0


def print_results(evaluation: Path) -> None:
    """Print the headline metric of every task and model, and the warnings."""
    from neurofm.reports.page import read_evaluation, tables_of
    from neurofm.reports.terminal import headline

    saved = read_evaluation(evaluation)
    for table in tables_of(saved):
        out.print(headline(table))
    for warning in saved.record.warnings:
        err.print(f"Warning: {warning}", markup=False, soft_wrap=True)
