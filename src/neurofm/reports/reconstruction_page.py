"""Reconstructions of scans that a user chose, as a PNG or as a page with their errors."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError
from neurofm.files import write_bytes, write_text
from neurofm.inference.reconstruct import Reconstructed
from neurofm.objectives.reconstruction import MaskedError
from neurofm.reports.reconstruction_picture import NORMALISED_NOTE, draw_reconstructions

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 94rem; }}
img {{ width: 100%; }} p {{ max-width: 50rem; }}
td, th {{ text-align: right; padding: .15rem 1.2rem .15rem 0; font-variant-numeric: tabular-nums; }}
td:first-child, th:first-child {{ text-align: left; }}
</style></head><body><h1>{title}</h1>
<p>Each row: a scan as it is, what of it the encoder saw (hidden patches are blue), the hidden
patches as predicted from the others, and the error, in three planes through the brain's middle.
Grey runs from &minus;2.5 to 2.5 standard deviations inside the brain; outside it a scan is 0.</p>
{notes}<img alt="Reconstructions" src="data:image/png;base64,{picture}">
<h2>Errors of the hidden patches</h2>
<p>Mean squared error of a voxel, in squared standard deviations: over all hidden patches / over
those with brain. A model has to do better than the mean image and the nearest visible patch.</p>
<table><tr><th>scan</th><th>model</th><th>mean image</th><th>nearest visible patch</th></tr>
{rows}
</table></body></html>
"""


def write_reconstructions(path: Path, found: Reconstructed, recipe: Recipe) -> None:
    """Write the picture, or the page around it; neither names a scan.

    Args:
        path: ends in .png or .html; see `require_picture_name`.
        found: at least one scan; each is a row.
        recipe: of the run.
    """
    title, scans, notes = f"Reconstructions by {recipe.name}", found.scans, []
    if found.averaged:
        notes.append(f"The mean image is of {found.averaged} scans that pre-training saw.")
    if isinstance(recipe.objective, MAEConfig) and recipe.objective.normalise_patches:
        notes.append(NORMALISED_NOTE)
    if path.suffix == ".png":
        write_bytes(path, draw_reconstructions(scans, title, notes))
        return
    rows = "\n".join(
        f"<tr><td>{number}</td><td>{_words(scan.model)}</td><td>{_words(scan.mean_image)}</td>"
        f"<td>{_words(scan.nearest_visible)}</td></tr>"
        for number, scan in enumerate(scans, start=1)
    )
    picture = base64.b64encode(draw_reconstructions(scans, "")).decode("ascii")
    said = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    write_text(path, _PAGE.format(title=escape(title), notes=said, picture=picture, rows=rows))


def require_picture_name(path: Path) -> None:
    """See before any work that the file is to be a picture or a page.

    Raises:
        ConfigError: it has another ending.
    """
    if path.suffix not in (".png", ".html"):
        raise ConfigError("does not end in .png or .html", "name the file so", path)


def _words(error: MaskedError | None) -> str:
    return "" if error is None else f"{error.all_patches:.3f} / {error.brain_patches:.3f}"
