"""A picture of reconstructions: each scan as it is, masked, reconstructed, and the error."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from neurofm.objectives.reconstruction import MaskedError, ReconstructedScan
from neurofm.reports.curves import with_minus
from neurofm.reports.drawing import INK, MUTED
from neurofm.reports.slices import PLANES, brain_middle, cut

Image = npt.NDArray[np.float32]

NORMALISED_NOTE = (
    "Patches were predicted with mean 0 and deviation 1; each is shown with the mean and deviation "
    "of the hidden patch itself."
)
_BLOCKS = (
    "original",
    "masked input",
    "reconstruction",
    "error: reconstruction \N{MINUS SIGN} original",
)
_INCHES, _GAP_INCHES, _CAPTION_INCHES, _HEAD_INCHES = 1.2, 0.12, 0.34, 0.66
_BRIGHTEST, _LARGEST_ERROR = 2.5, 2.0  # standard deviations
_HIDDEN = "#3d5a80"
_GREYS = colormaps["gray"].with_extremes(bad=_HIDDEN)
_ERRORS = colormaps["RdBu_r"]
_UNIT = "standard deviations inside the brain"


def draw_reconstructions(
    scans: Sequence[ReconstructedScan], title: str, notes: Sequence[str] = ()
) -> bytes:
    """A PNG: a row a scan, its four volumes in three planes, its errors below. It names nobody.

    All volumes of a scan are cut through the middle of its brain. Grey is the same in every
    picture, as are the colours of the error, so pictures of different epochs can be compared.

    Args:
        scans: at least one.
        title: the first line.
        notes: lines below it.
    """
    widths = [*([_INCHES] * len(PLANES) + [_GAP_INCHES]) * len(_BLOCKS)][:-1]
    rows = len(scans)
    head = _HEAD_INCHES + 0.16 * len(notes)
    height = head + rows * (_INCHES + _CAPTION_INCHES)
    figure = Figure(figsize=(sum(widths), height), facecolor="white")
    figure.text(0.004, 1 - 0.08 / height, title, va="top", fontsize=12, color=INK)
    for line, note in enumerate(notes):
        place = 1 - (0.32 + 0.16 * line) / height
        figure.text(0.004, place, note, va="top", fontsize=8.5, color=MUTED)
    grid = GridSpec(
        2 * rows,
        len(widths),
        figure=figure,
        width_ratios=widths,
        height_ratios=[_INCHES, _CAPTION_INCHES] * rows,
        left=0.004,
        right=0.996,
        bottom=0.004,
        top=1 - head / height,
        wspace=0.03,
        hspace=0.02,
    )
    for row, scan in enumerate(scans):
        _draw_scan(figure, grid, 2 * row, scan)
    _draw_bar(figure, height)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def error_words(scan: ReconstructedScan) -> str:
    """The mean squared errors of a scan's hidden patches, of the model and of simple guesses."""
    parts = [f"model {_pair(scan.model)}"]
    if scan.mean_image is not None:
        parts.append(f"mean image {_pair(scan.mean_image)}")
    parts.append(f"nearest visible patch {_pair(scan.nearest_visible)}")
    return "mean squared error of hidden patches, all / with brain: " + " · ".join(parts)


def _pair(error: MaskedError) -> str:
    return f"{error.all_patches:.3f} / {error.brain_patches:.3f}"


def _draw_scan(figure: Figure, grid: GridSpec, row: int, scan: ReconstructedScan) -> None:
    middle = brain_middle(scan.brain)
    masked = np.where(scan.hidden, np.nan, scan.original)
    for block, volume in enumerate((scan.original, masked, scan.reconstruction, scan.error)):
        for plane in range(len(PLANES)):
            axes = figure.add_subplot(grid[row, (len(PLANES) + 1) * block + plane])
            axes.set_axis_off()
            _draw_slice(axes, volume, plane, middle[plane], is_error=block == 3)
            if row == 0 and plane == 0:
                axes.set_title(_BLOCKS[block], loc="left", fontsize=9.5, color=INK, pad=3)
    below = figure.add_subplot(grid[row + 1, :])
    below.set_axis_off()
    below.text(0.0, 0.92, error_words(scan), va="top", fontsize=8.5, color=INK)


def _draw_slice(axes: Axes, volume: Image, plane: int, place: int, is_error: bool) -> None:
    limit = _LARGEST_ERROR if is_error else _BRIGHTEST
    colours = _ERRORS if is_error else _GREYS
    seen = cut(volume, plane, place)
    axes.imshow(seen, cmap=colours, vmin=-limit, vmax=limit, origin="lower")


def _draw_bar(figure: Figure, height: float) -> None:
    """The colours of the error, above its block."""
    axes = figure.add_axes((0.86, 1 - 0.22 / height, 0.13, 0.09 / height))
    scale = ScalarMappable(Normalize(-_LARGEST_ERROR, _LARGEST_ERROR), _ERRORS)
    bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
    ends = (-_LARGEST_ERROR, 0, _LARGEST_ERROR)
    bar.set_ticks(list(ends), labels=[with_minus(f"{end:g}") for end in ends])
    bar.ax.tick_params(labelsize=7.5, colors=MUTED, labelcolor=INK, length=2, pad=1)
    figure.text(0.85, 1 - 0.175 / height, _UNIT, ha="right", va="center", fontsize=8, color=MUTED)
