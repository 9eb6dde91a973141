"""neurofm pack: preprocessed scans into one memory-mapped store, or a store verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.prepared_by import PreparedBy


def pack(
    source: Path,
    /,
    *overrides: str,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    recipe: Annotated[str, Parameter(name=["--recipe", "-r"])] = "simclr-paper",
    spacing_mm: float | None = None,
    workers: int = 1,
    verify: bool = False,
    prepared: PreparedBy | None = None,
) -> int:
    """Pack preprocessed scans for fast reading, or check that a store is undamaged.

    Parameters
    ----------
    source
        folder of `neurofm preprocess`, or a list for --prepared-by; with --verify, a store.
    overrides
        settings of the recipe as section.key=value, e.g. store.scans_per_shard=16.
    output
        folder of the store.
    recipe
        recipe (name or path) whose `store` section is used.
    spacing_mm
        isotropic voxel size, short for store.spacing_mm=...; 3 gives 50x64x64 voxels.
    workers
        threads that read scans.
    verify
        read every byte of the store SOURCE and name what is damaged.
    """
    from neurofm.commands.console import BarProgress, out, show_problems
    from neurofm.config.recipe import load_recipe
    from neurofm.errors import ConfigError
    from neurofm.store.packing import pack as pack_store
    from neurofm.store.verify import verify_store

    if verify:
        verify_store(source, BarProgress())
        out.print(f"{source}: every byte is as it was packed")
        return 0
    if output is None:
        raise ConfigError("is missing", "name the store's folder: -o STORE", "--output")
    spacing = () if spacing_mm is None else (f"store.spacing_mm={spacing_mm}",)
    config = load_recipe(recipe, (*overrides, *spacing)).store
    listed = (prepared or PreparedBy()).turboprep_list(source)
    result = pack_store(listed or source, output, config, BarProgress(), workers)
    out.print(f"{output}: {result.packed} scans packed, {result.reused} were there already")
    return show_problems(result.notes, result.failures)
