"""A picture of a map over its scan, beside the map of the same network with random weights."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from scipy import ndimage

from neurofm.inference.explain import ExplainedScan
from neurofm.inference.explanation import Explanation
from neurofm.reports.curves import with_minus
from neurofm.reports.drawing import INK, MUTED
from neurofm.reports.slices import PLANES, cut

Image = npt.NDArray[np.float32]

_TITLES = {
    "occlusion": "Occlusion",
    "gradients": "Integrated gradients",
    "grad-cam": "Grad-CAM",
}
_SHARES = (0.3, 0.43, 0.57, 0.7)  # of the brain's extent: where slices lie
_INCHES, _GAP_INCHES, _HEAD_INCHES, _FOOT_INCHES = 1.55, 0.25, 0.95, 0.45
_BRIGHTEST = 2.5  # standard deviations
_HIGHEST_SHARE = 99.5  # percentile of a map in the brain that has the full colour
_OPACITY = 0.85
_SMOOTH_MM = 3.0  # of gradients, which differ from voxel to voxel
_COLOURS = colormaps["RdBu_r"]


def draw_explanation(scan: ExplainedScan) -> bytes:
    """A PNG: twelve slices with the network's map on the left, with random weights on the right.

    Red raises the number that is explained, blue lowers it; each of the two has a scale of its
    own. Left is on the left. It names nobody.

    Args:
        scan: with both maps.
    """
    blocks, columns = 2, len(_SHARES)
    widths = [*[_INCHES] * columns, _GAP_INCHES, *[_INCHES] * columns]
    height = _HEAD_INCHES + len(PLANES) * _INCHES + _FOOT_INCHES
    figure = Figure(figsize=(sum(widths), height), facecolor="white")
    figure.text(0.005, 1 - 0.08 / height, _title(scan.record), va="top", fontsize=12, color=INK)
    figure.text(0.005, 1 - 0.34 / height, _words(scan.record), va="top", fontsize=8.5, color=MUTED)
    grid = GridSpec(
        len(PLANES),
        len(widths),
        figure=figure,
        width_ratios=widths,
        left=0.004,
        right=0.996,
        bottom=_FOOT_INCHES / height,
        top=1 - _HEAD_INCHES / height,
        wspace=0.03,
        hspace=0.02,
    )
    background = np.where(scan.brain, scan.volume, np.float32(-_BRIGHTEST))
    names = ("trained weights", "random weights: what the architecture alone shows")
    for block, found in enumerate((scan.trained, scan.randomised)):
        shown = _shown(found, scan)
        limit = _limit(shown[scan.brain])
        for plane in range(len(PLANES)):
            for column, share in enumerate(_SHARES):
                axes = figure.add_subplot(grid[plane, (columns + 1) * block + column])
                axes.set_axis_off()
                place = _place(scan.brain, plane, share)
                _draw_slice(axes, cut(background, plane, place), cut(shown, plane, place), limit)
                if plane == 0 and column == 0:
                    axes.set_title(names[block], loc="left", fontsize=9.5, color=INK, pad=3)
        _draw_bar(figure, block / blocks, height, limit)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _title(record: Explanation) -> str:
    return f"{_TITLES[record.method]}: {record.explained}"


def _words(record: Explanation) -> str:
    parts = []
    if isinstance(record.prediction, float):
        parts.append(f"prediction: {_number(record.prediction)}")
    elif record.prediction is not None:
        parts.append(f"prediction: {record.prediction}")
        parts.append(f"probability of {record.class_name}: {_number(record.probability)}")
    alike, unsigned = _number(record.spearman), _number(record.spearman_absolute)
    parts.append(f"rank correlation of both maps in the brain: {alike} (without signs {unsigned})")
    return " · ".join(parts) + "\nRed raises the number that is explained, blue lowers it."


def _number(value: float | None) -> str:
    return "none" if value is None else with_minus(f"{value:.3g}")


def _shown(found: Image, scan: ExplainedScan) -> Image:
    if scan.record.method != "gradients":
        return found
    smooth = ndimage.gaussian_filter(found, _SMOOTH_MM / scan.spacing_mm)
    return np.where(scan.brain, smooth, np.float32(0))


def _limit(values: Image) -> float:
    """The largest of a scale; 1 for a map that is 0 everywhere."""
    found = float(np.percentile(np.abs(values), _HIGHEST_SHARE)) if values.size else 0.0
    return found or (float(np.abs(values).max(initial=0)) or 1.0)


def _place(brain: npt.NDArray[np.bool_], plane: int, share: float) -> int:
    along = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {plane})))
    if not len(along):
        return int(brain.shape[plane] // 2)
    low, high = int(along[0]), int(along[-1])
    return low + int(share * (high - low))


def _draw_slice(axes: Axes, scan: Image, found: Image, limit: float) -> None:
    axes.imshow(scan, cmap="gray", vmin=-_BRIGHTEST, vmax=_BRIGHTEST, origin="lower")
    colours = _COLOURS(Normalize(-limit, limit)(found))
    colours[..., 3] = _OPACITY * np.clip(np.abs(found) / limit, 0, 1)
    axes.imshow(colours, origin="lower")


def _draw_bar(figure: Figure, left: float, height: float, limit: float) -> None:
    """The colours of a block, below it."""
    axes = figure.add_axes((left + 0.16, 0.26 / height, 0.18, 0.09 / height))
    scale = ScalarMappable(Normalize(-limit, limit), _COLOURS)
    bar = figure.colorbar(scale, cax=axes, orientation="horizontal")
    bar.set_ticks(
        [-limit, 0, limit], labels=[with_minus(f"{end:.2g}") for end in (-limit, 0, limit)]
    )
    bar.ax.tick_params(labelsize=7.5, colors=MUTED, labelcolor=INK, length=2, pad=1)
