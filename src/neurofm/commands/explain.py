"""`neurofm explain`: maps of what a prediction rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, out, show_problems
from neurofm.commands.map_options import MapOptions
from neurofm.commands.weights_reference import folder_of


def explain(
    scan: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    weights: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    how: MapOptions | None = None,
    work: Path | None = None,
    device: str = "auto",
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Map which parts of raw scans a prediction rests on, beside the map of random weights.

    Parameters
    ----------
    scan
        Raw scans, preprocessed as the weights need: files, folders, tables or an index.parquet.
    weights
        A run, a bundle, or hf://OWNER/NAME[@REVISION]. Without a head, what is left of the scan's
        own embedding is explained.
    output
        A new folder: maps in template and native space, a picture and a JSON of each scan.
    work
        Keep the preprocessed scans here; the next command then finds them.
    device
        Where to compute: auto, cpu, cuda or cuda:1.
    allow_other_preprocessing
        Go on where neurofm's steps are not the weights' own, with a note.
    """
    from neurofm.inference.explain import explain_sources, require_empty
    from neurofm.reports.explanation import write_explanation
    from neurofm.training.device import choose_device

    place = choose_device(device)
    require_empty(output)
    done = explain_sources(
        scan, folder_of(weights), (how or MapOptions()).asked(),
        lambda each: write_explanation(output, each), work=work,
        allow_other_contract=allow_other_preprocessing, device=place, progress=BarProgress(),
    )  # fmt: skip
    out.print(f"{output}: {done.scans} scans explained", markup=False, soft_wrap=True)
    return show_problems(done.notes, done.failures)
