"""`neurofm evaluate`: embed, probe, compare with baselines, print the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.cell_options import CellOptions
from neurofm.errors import ConfigError

_ONE_A_CORE = CellOptions()


def evaluate(
    recipe: str,
    *overrides: str,
    store: Path,
    weights: Annotated[list[str] | None, Parameter(negative="")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    cells: CellOptions = _ONE_A_CORE,
    allow_pretrain_overlap: Annotated[bool, Parameter(negative="")] = False,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Find out what linear probes and trained heads predict of a store's held-out people.

    A study, such as `paper`, trains every cell of its table first, and goes on where it was.

    Args:
        recipe: path of a YAML file or the name of a packaged recipe, or of a study.
        overrides: changes to it, each written section.key=value.
        store: packed scans (neurofm pack).
        weights: a run, a bundle, hf://OWNER/NAME[@REVISION] or a checkpoint. Several, each as
            NAME=REF, are compared with the first; those of one name are repeats of one model. Of a
            study: NAME=REF for each of its pre-trainings.
        output: folder for embeddings, predictions and results.
        cells: where a study's cells are worked on.
        allow_pretrain_overlap: evaluate participants the weights have seen, and say so.
        allow_other_preprocessing: go on with scans preprocessed otherwise, and say so.
    """
    from neurofm.config.study import find_study

    if find_study(recipe) is not None:
        from neurofm.commands.study_cells import evaluate_study
        from neurofm.study.opened import Allowed

        return evaluate_study(
            recipe, overrides, store, weights or [], output, cells.machinery(),
            Allowed(allow_pretrain_overlap, allow_other_preprocessing),
        )  # fmt: skip
    if cells != _ONE_A_CORE:
        raise ConfigError("is no study", "leave --workers, --dask and --device out", recipe)
    from neurofm.commands.evaluate_recipe import evaluate_recipe

    return evaluate_recipe(
        recipe, overrides, store, weights or [], output, allow_pretrain_overlap,
        allow_other_preprocessing,
    )  # fmt: skip
