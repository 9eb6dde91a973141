"""`neurofm split`: decide by participant what pre-training may see, once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def split(
    index: Path,
    *overrides: str,
    recipe: Annotated[str, Parameter(name=["--recipe", "-r"])],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
) -> int:
    """Divide an index by participant into "pretrain" and "held-out".

    All scans of a person, and all people who share an identical file, go to the same side. Sides
    that the index already gives are kept. An index with another split is never overwritten.

    Args:
        index: the index to divide.
        overrides: recipe values, section.key=value, e.g. split.held_out_fraction=0.2.
        recipe: a recipe's name or file; its section `split` and its seed decide.
        output: the divided index to write; may be the same file.
    """
    from neurofm.cohorts.index import read_index, write_index
    from neurofm.cohorts.splits import (
        assign_splits,
        require_same_split,
        split_counts,
        split_fingerprint,
    )
    from neurofm.commands.console import out
    from neurofm.config.recipe import load_recipe

    settings = load_recipe(recipe, overrides)
    divided = assign_splits(read_index(index), settings.split, settings.seed)
    require_same_split(divided, output)
    write_index(divided, output)
    for side, (participants, scans) in split_counts(divided).items():
        out.print(f"{side}: {participants} participants, {scans} scans")
    out.print(f"index: {output} (split {split_fingerprint(divided)})", markup=False, soft_wrap=True)
    return 0
