"""`neurofm predict`: scans in, what a trained head says of them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, out, show_problems
from neurofm.commands.encoding_options import NOTHING_SAID, EncodingOptions
from neurofm.commands.one_scan import prepared_beside
from neurofm.commands.weights_reference import folder_of


def predict(
    source: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    weights: Annotated[list[str], Parameter(negative="")],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    interval: float = 0.9,
    how: EncodingOptions = NOTHING_SAID,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Predict the label that weights were trained on, for scans preprocessed as they need.

    Parameters
    ----------
    source
        Scan files, folders, tables or an index.parquet of raw scans; or one packed store, or one
        folder of neurofm preprocess.
    weights
        A run of neurofm train, a bundle of one, or hf://OWNER/NAME[@REVISION]. Several, each with
        its own --weights, are averaged, and the table has their spread.
    output
        The table of predictions, a .parquet or .csv file.
    interval
        The share of new people whose truth is to lie between low and high, or in the set.
    allow_other_preprocessing
        Go on where neurofm's steps are not the weights' own, with a note.
    """
    with prepared_beside(source, how.workers):
        from neurofm.inference.predict import predict_sources

        computing = how.computing()
        done = predict_sources(
            source, [folder_of(each) for each in weights], output, level=interval,
            work=how.work, workers=how.workers, computing=computing,
            allow_other_contract=allow_other_preprocessing, progress=BarProgress(),
        )  # fmt: skip
    out.print(f"{output}: {done.scans} scans predicted", markup=False, soft_wrap=True)
    return show_problems(done.notes, done.failures)
