"""`neurofm split`: hold participants out from pre-training, once and for good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def split(
    index: Path,
    *overrides: str,
    recipe: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
) -> int:
    """Write the index with a column `split`: "pretrain" or "held-out", by participant.

    Parameters
    ----------
    index
        An index made by `neurofm index`.
    overrides
        Changes to the recipe, each written section.key=value.
    recipe
        The recipe whose `split` section and seed decide.
    output
        The index to write; one that holds another split already is refused.
    """
    from neurofm.cohorts.index import read_index, write_index
    from neurofm.cohorts.splits import assign_splits
    from neurofm.commands.console import out
    from neurofm.config.recipe import load_recipe
    from neurofm.errors import TableError
    from neurofm.files import fingerprint_of

    effective = load_recipe(recipe, overrides)
    frame = assign_splits(read_index(index), effective.split, effective.seed)
    decided = dict(zip(frame["scan_id"], frame["split"], strict=True))
    if output.is_file():
        old = read_index(output)
        before = dict(zip(old["scan_id"], old["split"], strict=True))
        if any(value is not None for value in before.values()) and before != decided:
            raise TableError("holds another split", "choose another -o, or delete it", output)
    write_index(frame, output)
    for side, rows in frame.groupby("split"):
        people = rows.groupby(["cohort", "participant_id"]).ngroups
        out.print(f"{side}: {people} participants, {len(rows)} scans", markup=False)
    out.print(f"Index: {output}  (split {fingerprint_of(decided)})", markup=False, soft_wrap=True)
    return 0
