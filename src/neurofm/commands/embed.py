"""`neurofm embed`: scans in, embeddings out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, out, show_problems
from neurofm.commands.encoding_options import NOTHING_SAID, EncodingOptions
from neurofm.commands.one_scan import prepared_beside
from neurofm.commands.prepared_by import PreparedBy
from neurofm.commands.weights_reference import folder_of


def embed(
    source: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    weights: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    how: EncodingOptions = NOTHING_SAID,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
    prepared: PreparedBy | None = None,
) -> int:
    """Turn scans into embeddings, preprocessed as the weights need.

    Parameters
    ----------
    source
        Scan files, folders, tables or an index.parquet of raw scans; or one packed store, or one
        folder of neurofm preprocess; or a list for --prepared-by.
    weights
        A run, a bundle, hf://OWNER/NAME[@REVISION], or a published checkpoint.
    output
        The table of embeddings, a .parquet or .csv file.
    allow_other_preprocessing
        Go on where neurofm's steps are not the weights' own, with a note.
    """
    with prepared_beside(source, how.workers):
        from neurofm.inference.embed import embed_sources
        from neurofm.inference.turboprep import embed_turboprep

        listed = (prepared or PreparedBy()).turboprep_list(*source)
        allow, bar, computing = allow_other_preprocessing, BarProgress(), how.computing()
        folder = folder_of(weights)
        if listed:
            done = embed_turboprep(
                listed, folder, output, work=how.work, workers=how.workers,
                allow_other_contract=allow, computing=computing, progress=bar,
            )  # fmt: skip
        else:
            done = embed_sources(
                source, folder, output, work=how.work, workers=how.workers,
                allow_other_contract=allow, computing=computing, progress=bar,
            )  # fmt: skip
    out.print(f"{output}: {done.scans} scans embedded", markup=False, soft_wrap=True)
    return show_problems(done.notes, done.failures)
