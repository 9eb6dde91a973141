"""The views of a recipe as a PNG, or as a page with the effect of every transform."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from neurofm.augment.effect_check import Effect, check_effects
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError
from neurofm.files import write_bytes, write_text
from neurofm.reports.view_samples import sample_pairs
from neurofm.reports.views_picture import draw_pairs
from neurofm.store.reader import Store

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; }}
body {{ margin: 2rem auto; max-width: 90rem; }}
img {{ width: 100%; }} td, th {{ text-align: left; padding: .1rem 1.5rem .1rem 0; }}
</style></head><body><h1>{title}</h1>
<p>Each row: a scan with the crops of both views drawn in, then the two views as the network sees
them, z-scored, in three planes through their middle. A dashed crop is one of another scan.</p>
<img alt="Pairs of views" src="data:image/png;base64,{picture}">
<h2>Does each transform change anything?</h2>
<p>Each alone, on a small phantom, through the whole chain with its z-score: the largest change of a
voxel in standard deviations.</p>
<table><tr><th>transform</th><th>largest change</th><th></th></tr>
{rows}
</table></body></html>
"""


def write_views(
    recipe: Recipe, store: Store | None, path: Path, participants: int
) -> tuple[Effect, ...]:
    """Show the views that a recipe draws, and try each of its transforms alone.

    Args:
        recipe: the recipe.
        store: scans to show; None for phantoms.
        path: ends in .png or .html.
        participants: rows of the picture.

    Raises:
        ConfigError: another ending, or a store of another spacing.
        RunError: the store holds no scan that pre-training may see.
        ScanError: a scan gave no usable view.
        MissingDependencyError: phantoms are asked for and nilearn is not installed.
    """
    if path.suffix not in (".png", ".html"):
        raise ConfigError("does not end in .png or .html", "name the file so", path)
    effects = check_effects(recipe.views, recipe.store.spacing_mm)
    pairs = sample_pairs(recipe, store, participants)
    title = f"Views of the recipe {recipe.name}"
    warnings = [effect.warning for effect in effects if effect.warning]
    picture = draw_pairs(pairs, title, warnings if path.suffix == ".png" else ())
    if path.suffix == ".png":
        write_bytes(path, picture)
    else:
        write_text(path, _page(title, picture, effects))
    return effects


def _page(title: str, picture: bytes, effects: Sequence[Effect]) -> str:
    rows = "\n".join(
        f"<tr><td>{escape(effect.transform)}</td><td>{effect.largest_change:.3f}</td>"
        f"<td>{escape(effect.warning)}</td></tr>"
        for effect in effects
    )
    encoded = base64.b64encode(picture).decode("ascii")
    return _PAGE.format(title=escape(title), picture=encoded, rows=rows)
