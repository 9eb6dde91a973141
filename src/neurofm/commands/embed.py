"""`neurofm embed`: scans in, embeddings out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, err, out


def embed(
    source: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    weights: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    work: Path | None = None,
    workers: int = os.cpu_count() or 1,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Turn scans into embeddings, preprocessed as the weights need.

    Parameters
    ----------
    source
        Scan files, folders, tables or an index.parquet of raw scans; or one packed store.
    weights
        A pre-training run, or a folder of neurofm import-weights.
    output
        The table of embeddings, a .parquet file.
    work
        Keep the preprocessed scans here; the same command then continues.
    workers
        Processes that preprocess scans side by side.
    allow_other_preprocessing
        Go on where neurofm's steps are not the weights' own, as with imported weights.
    """
    from neurofm.inference.embed import embed_sources

    done = embed_sources(
        source,
        weights,
        output,
        work=work,
        workers=workers,
        allow_other_contract=allow_other_preprocessing,
        progress=BarProgress(),
    )
    for note in done.notes:
        err.print(f"Note: {note}", markup=False, soft_wrap=True)
    for failure in done.failures:
        err.print(str(failure), markup=False, soft_wrap=True)
    out.print(f"{output}: {done.scans} scans embedded", markup=False, soft_wrap=True)
    return 1 if done.failures else 0
