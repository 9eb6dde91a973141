"""A picture of each result for checking by eye: brain outline and tissue in three planes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

_PLANES = ("sagittal", "coronal", "axial")
_OUTLINE = np.array([1.0, 0.25, 0.2])
_TEMPLATE_OUTLINE = np.array([0.2, 0.8, 1.0])
# CSF blue, grey matter orange, white matter cream; background black.
_TISSUE = np.array([[0, 0, 0], [0.2, 0.45, 0.85], [0.9, 0.55, 0.2], [0.97, 0.93, 0.8]])


def draw_check(
    image: Floats, tissue: Labels, template_brain: npt.NDArray[np.bool_], caption: str
) -> bytes:
    """A PNG with three planes of the scan (top) and of its tissue map (bottom).

    Red is the outline of the brain mask, blue that of the template's brain: after a good
    registration they run together, but for the size of the head.

    Args:
        image: (x, y, z) normalised scan; shown between its 1st and 99.5th percentile in the brain.
        tissue: (x, y, z) tissue map.
        template_brain: (x, y, z) the template's brain.
        caption: one line above, such as the scan's label and its verdict.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    brain = tissue > 0
    grey = _as_grey(image, brain)
    figure = Figure(figsize=(6.6, 4.7), dpi=80, facecolor="black")
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.97, caption, color="white", fontsize=8, ha="center", va="top")
    for axis, plane in enumerate(_PLANES):
        index = _middle(brain, axis)
        scan = np.repeat(np.take(grey, index, axis)[..., None], 3, axis=2)
        _trace(scan, np.take(template_brain, index, axis), _TEMPLATE_OUTLINE)
        _trace(scan, np.take(brain, index, axis), _OUTLINE)
        classes = _TISSUE[np.take(tissue, index, axis)]
        for row, picture in enumerate((scan, classes)):
            axes = figure.add_axes((axis / 3, 0.47 * (1 - row), 1 / 3, 0.46))
            _show(axes, picture, plane)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _as_grey(image: Floats, brain: npt.NDArray[np.bool_]) -> Floats:
    inside = image[brain] if brain.any() else image.ravel()
    low, high = np.percentile(inside, (1, 99.5))
    return np.asarray(np.clip((image - low) / max(float(high - low), 1e-6), 0, 1))


def _middle(brain: npt.NDArray[np.bool_], axis: int) -> int:
    """The plane through the brain's middle; sagittal a little beside the midline."""
    places = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
    if places.size == 0:
        return int(brain.shape[axis]) // 2
    share = 0.42 if axis == 0 else 0.5
    first, last = int(places[0]), int(places[-1])
    return round(first + share * (last - first))


def _trace(
    picture: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], colour: npt.NDArray[np.float64]
) -> None:
    picture[mask & ~ndimage.binary_erosion(mask)] = colour


def _show(axes: Axes, picture: npt.NDArray[np.floating], plane: str) -> None:
    axes.imshow(picture.transpose(1, 0, 2), origin="lower", interpolation="nearest")
    axes.set_axis_off()
    if plane != "sagittal":
        axes.text(0.02, 0.5, "L", color="grey", fontsize=7, transform=axes.transAxes)
