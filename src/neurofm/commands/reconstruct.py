"""`neurofm reconstruct`: see what a masked autoencoder makes of scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import BarProgress, out, show_problems


def reconstruct(
    run: Path,
    *scans: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    store: Path | None = None,
    first: int = 3,
    nifti: Path | None = None,
    work: Path | None = None,
    allow_other_preprocessing: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Draw scans, what was hidden of them, the reconstruction and its error.

    Parameters
    ----------
    run
        A finished pre-training with objective.kind mae.
    scans
        Scan ids of the store; without --store, raw scans, preprocessed as the run's were.
    output
        A .png, or an .html page with a table of errors.
    store
        A folder made by neurofm pack.
    first
        With --store and no scan id, the first so many of its scans.
    nifti
        Also write reconstruction and error of each scan here, as NIfTI.
    work
        Keep preprocessed raw scans here; the same command then continues.
    allow_other_preprocessing
        Go on with scans preprocessed otherwise than the run's.
    """
    from neurofm.inference import reconstruct as inference
    from neurofm.reports import reconstruction_page as page
    from neurofm.store.reader import open_store

    page.require_picture_name(output)
    model, allow, bar = inference.load_autoencoder(run), allow_other_preprocessing, BarProgress()
    if store:
        found = inference.reconstruct_packed(model, open_store(store), scans, first, allow)
    else:
        found = inference.reconstruct_raw(model, scans, work, allow, progress=bar)
    if found.scans:
        page.write_reconstructions(output, found, model.recipe)
        out.print(f"Reconstructions: {output.resolve()}", markup=False, soft_wrap=True)
    inference.write_niftis(nifti, found, model.card.spacing_mm)
    return show_problems(found.notes, found.failures)
