"""A picture of views: each participant's scan with both crops drawn in, then the two views."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle

from neurofm.reports.drawing import CATEGORIES, INK, MUTED
from neurofm.reports.slices import PLANES, brain_middle, cut
from neurofm.reports.view_samples import ShownPair, ShownView
from neurofm.reports.view_words import draw_words, pair_words

_COLOURS = (CATEGORIES[5], CATEGORIES[1])  # light enough to be seen on grey
_BLOCKS = ("the scan and both crops", "view 1", "view 2")
_INCHES, _CAPTION_INCHES, _HEAD_INCHES = 1.55, 0.62, 0.75
_BRIGHTEST = 2.5  # standard deviations


def draw_pairs(pairs: Sequence[ShownPair], title: str, notes: Sequence[str]) -> bytes:
    """A PNG: a row a participant, scan and views in three planes, drawn numbers below.

    The scan is cut through the middle of its brain, a view through its own middle. Left is on the
    left. What lies outside the mask of a view that is z-scored last is black; one z-scored first is
    shown as it is. A dashed crop is one of another scan.

    Args:
        pairs: the participants.
        title: the first line.
        notes: lines below it.
    """
    columns, rows = len(_BLOCKS) * len(PLANES), len(pairs)
    head = _HEAD_INCHES + 0.17 * len(notes)
    height = head + rows * (_INCHES + _CAPTION_INCHES)
    figure = Figure(figsize=(columns * _INCHES, height), facecolor="white")
    figure.text(0.005, 1 - 0.1 / height, title, va="top", fontsize=12, color=INK)
    figure.text(0.005, 1 - 0.36 / height, "\n".join(notes), va="top", fontsize=8.5, color=MUTED)
    grid = GridSpec(
        2 * rows,
        columns,
        figure=figure,
        height_ratios=[_INCHES, _CAPTION_INCHES] * rows,
        left=0.004,
        right=0.996,
        bottom=0.004,
        top=1 - head / height,
        wspace=0.03,
        hspace=0.02,
    )
    for row, pair in enumerate(pairs):
        _draw_pair(figure, grid, 2 * row, pair)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _draw_pair(figure: Figure, grid: GridSpec, row: int, pair: ShownPair) -> None:
    blocks = ("scan", pair.first, pair.second)
    captions = (pair_words(pair), draw_words(pair.first), draw_words(pair.second))
    for block, (shown, caption) in enumerate(zip(blocks, captions, strict=True)):
        first = len(PLANES) * block
        colour = _COLOURS[block - 1] if block else INK
        for plane in range(len(PLANES)):
            axes = figure.add_subplot(grid[row, first + plane])
            axes.set_axis_off()
            if isinstance(shown, ShownView):
                _draw_view(axes, shown, plane)
            else:
                _draw_scan(axes, pair, plane)
            if row == 0 and plane == 0:
                axes.set_title(_BLOCKS[block], loc="left", fontsize=9.5, color=INK, pad=3)
            if block and plane == 0:
                axes.add_patch(_frame(axes, colour))
        below = figure.add_subplot(grid[row + 1, first : first + len(PLANES)])
        below.set_axis_off()
        below.text(0.0, 0.98, caption, va="top", fontsize=8, color=INK, linespacing=1.25)


def _draw_scan(axes: Axes, pair: ShownPair, plane: int) -> None:
    scan, mask = pair.first.scan, pair.first.scan_mask
    low, high = np.percentile(scan[mask], [1, 99.5]) if mask.any() else (scan.min(), scan.max())
    middle = brain_middle(mask)[plane]
    axes.imshow(cut(scan, plane, middle), cmap="gray", vmin=low, vmax=high, origin="lower")
    for place, view in enumerate((pair.first, pair.second)):
        other = place == 1 and pair.is_of_two_scans
        axes.add_patch(_crop_outline(view, plane, _COLOURS[place], "--" if other else "-"))


def _draw_view(axes: Axes, view: ShownView, plane: int) -> None:
    middle = view.image.shape[plane] // 2
    seen = cut(view.image, plane, middle)
    if not view.draw.zscore_first:
        seen = np.where(cut(view.mask, plane, middle), seen, -_BRIGHTEST)
    axes.imshow(seen, cmap="gray", vmin=-_BRIGHTEST, vmax=_BRIGHTEST, origin="lower")


def _crop_outline(view: ShownView, plane: int, colour: str, line: str) -> Rectangle:
    start = [low for axis, low in enumerate(view.draw.crop_start) if axis != plane]
    size = [count for axis, count in enumerate(view.draw.crop_size) if axis != plane]
    place = (start[1] - 0.5, start[0] - 0.5)
    return Rectangle(
        place, size[1], size[0], fill=False, edgecolor=colour, linewidth=1.6, linestyle=line
    )


def _frame(axes: Axes, colour: str) -> Rectangle:
    """A bar on the left of a view, in the colour of its crop."""
    return Rectangle((0, 0), 0.02, 1, transform=axes.transAxes, color=colour, clip_on=False)
