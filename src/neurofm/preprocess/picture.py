"""A picture of each result for checking by eye: slices in three planes, brain outline, tissue.

Drawn as one array of palette colours, because it is on the path of every scan.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import ndimage

if TYPE_CHECKING:
    pass

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

# The palette: levels of grey, then the outlines, then CSF, grey and white matter.
_GREYS = 48
_TEMPLATE_OUTLINE, _BRAIN_OUTLINE, _TISSUE = _GREYS, _GREYS + 1, _GREYS + 2
_COLOURS = ((40, 175, 240), (255, 70, 55), (50, 115, 215), (230, 140, 50), (247, 237, 205))
_BRIGHT_TEXT, _DIM_TEXT = 44, 30

_SAGITTAL, _CORONAL, _AXIAL = range(3)
# Where slices lie along each axis, as shares of the shown box: temporal lobes and cerebellum, basal
# ganglia and ventricles, the vertex; one sagittal slice close to the midline.
_PLACES = (
    (0.20, 0.37, 0.53, 0.63, 0.80),
    (0.20, 0.36, 0.48, 0.61, 0.78),
    (0.29, 0.42, 0.53, 0.63, 0.75),
)
_MIDDLE = 2
# The rows of the mosaic from the top: plane, height in pixels, whether as tissue colours.
_ROWS = ((_AXIAL, 192, False), (_AXIAL, 192, True), (_CORONAL, 164, False), (_SAGITTAL, 164, False))
_CELL_WIDTH = 192
_CAPTION_HEIGHT, _LEGEND_HEIGHT = 26, 22
_WIDTH = _CELL_WIDTH * len(_PLACES[0])
_HEIGHT = _CAPTION_HEIGHT + sum(height for _, height, _ in _ROWS) + _LEGEND_HEIGHT
# Room around the template's brain, as a share of its size.
_MARGIN = 0.05
# Says in the file that a picture has this layout and names nobody.
_MARK = ("Source", "neurofm draw_check 2")
_THUMBNAIL_CELL = 80


def draw_check(image: Floats, tissue: Labels, template_brain: Mask, caption: str) -> bytes:
    """A PNG, 960 pixels wide: five axial slices, their tissue, five coronal, five sagittal.

    Red is the outline of the brain mask, blue that of the template's brain: after a good
    registration they run together, but for the size of the head. Left is on the left. The slices
    lie at the same places of the template in every picture, unless the brain reaches far beyond it.

    Args:
        image: (x, y, z) normalised scan; shown between its 1st and 99.5th percentile in the brain.
        tissue: (x, y, z) tissue map; above 0 is the brain.
        template_brain: (x, y, z) the template's brain.
        caption: one line above. Pictures are passed on, so let it name nobody.
    """
    from PIL import Image, PngImagePlugin

    brain = tissue > 0
    box = _shown_box(brain, template_brain)
    grey = _window(image, brain)
    scale = _pixels_per_voxel(box)
    canvas = np.zeros((_HEIGHT, _WIDTH), dtype=np.uint8)
    top = _CAPTION_HEIGHT
    for axis, height, as_tissue in _ROWS:
        for column, share in enumerate(_PLACES[axis]):
            index = _slice_index(box[axis], share)
            cut = _cut(axis, index, box)
            if as_tissue:
                tile = _tissue_tile(tissue[cut], scale)
            else:
                tile = _scan_tile(image[cut], brain[cut], template_brain[cut], grey, scale)
            _paste(canvas, tile, top, column * _CELL_WIDTH, height)
        top += height
    _write_words(canvas, caption, box, brain.shape[_SAGITTAL])
    picture = Image.fromarray(canvas)
    picture.putpalette(_palette())
    mark = PngImagePlugin.PngInfo()
    mark.add_text(*_MARK)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=6, pnginfo=mark)
    return stream.getvalue()


def thumbnail(png: bytes) -> bytes | None:
    """A JPEG of the middle axial, coronal and sagittal slice of a picture, 240 x 80 pixels.

    Args:
        png: what `draw_check` gave. None comes back for anything else, such as a damaged file or
            a picture of an earlier version, whose caption may name somebody.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png)) as picture:
            if picture.size != (_WIDTH, _HEIGHT) or picture.info.get(_MARK[0]) != _MARK[1]:
                return None
            colours = picture.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    small = Image.new("RGB", (3 * _THUMBNAIL_CELL, _THUMBNAIL_CELL))
    for place, (top, height) in enumerate(_scan_rows()):
        left = _MIDDLE * _CELL_WIDTH
        cell = colours.crop((left, top, left + _CELL_WIDTH, top + height))
        size = (_THUMBNAIL_CELL, round(_THUMBNAIL_CELL * height / _CELL_WIDTH))
        corner = (place * _THUMBNAIL_CELL, (_THUMBNAIL_CELL - size[1]) // 2)
        small.paste(cell.resize(size, Image.Resampling.LANCZOS), corner)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=65)
    return stream.getvalue()


def _scan_rows() -> Iterator[tuple[int, int]]:
    """Top and height of the rows that show the scan."""
    top = _CAPTION_HEIGHT
    for _, height, as_tissue in _ROWS:
        if not as_tissue:
            yield top, height
        top += height


def _shown_box(brain: Mask, template_brain: Mask) -> Box:
    """The template's brain with a margin, enlarged to hold all of the scan's brain."""
    spans = []
    for axis, size in enumerate(brain.shape):
        others = tuple({0, 1, 2} - {axis})
        expected = np.flatnonzero(template_brain.any(axis=others))
        found = np.flatnonzero(brain.any(axis=others))
        margin = _MARGIN * expected.size
        ends = [*found[[0, -1]]] if found.size else []
        ends += [expected[0] - margin, expected[-1] + margin] if expected.size else [0, size - 1]
        spans.append(slice(max(0, round(min(ends))), min(size, round(max(ends)) + 1)))
    return spans[0], spans[1], spans[2]


def _window(image: Floats, brain: Mask) -> tuple[float, float]:
    """The intensities shown as black and as white, from some hundred thousand voxels."""
    step = max(1, min(image.shape) // 64)
    every = (slice(None, None, step),) * 3
    inside = image[every][brain[every]]
    low, high = np.percentile(inside if inside.size else image[every], (1, 99.5))
    return float(low), max(float(high), float(low) + 1e-6)


def _pixels_per_voxel(box: Box) -> float:
    """The largest scale at which every tile fits its cell."""
    sizes = [part.stop - part.start for part in box]
    heights = [height / sizes[1 if axis == _AXIAL else 2] for axis, height, _ in _ROWS]
    return float(min(_CELL_WIDTH / max(sizes[:2]), *heights))


def _slice_index(span: slice, share: float) -> int:
    return int(span.start + share * (span.stop - 1 - span.start))


def _cut(axis: int, index: int, box: Box) -> tuple[slice | int, ...]:
    return tuple(index if place == axis else span for place, span in enumerate(box))


def _scan_tile(
    image: Floats, brain: Mask, template_brain: Mask, window: tuple[float, float], scale: float
) -> Labels:
    """A slice in grey with both outlines, as palette colours in rows from the top."""
    low, high = window
    share = np.clip((_resized(image, scale) - low) / (high - low), 0, 1)
    tile = (share * (_GREYS - 1)).astype(np.uint8)
    tile[_outline(template_brain, scale)] = _TEMPLATE_OUTLINE
    tile[_outline(brain, scale)] = _BRAIN_OUTLINE
    return tile


def _tissue_tile(tissue: Labels, scale: float) -> Labels:
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(tissue.T[::-1]))
    labels = np.asarray(small.resize(_size(tissue, scale), Image.Resampling.NEAREST))
    return np.where(labels > 0, labels + np.uint8(_TISSUE - 1), 0).astype(np.uint8)


def _outline(mask: Mask, scale: float) -> Mask:
    inside = _resized(mask.astype(np.float32), scale) > 0.5
    return np.asarray(inside & ~ndimage.binary_erosion(inside, border_value=1))


def _resized(plane: Floats, scale: float) -> Floats:
    """An (x, y) plane as picture rows from the top, interpolated to the scale."""
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(plane.T[::-1], dtype=np.float32))
    return np.asarray(small.resize(_size(plane, scale), Image.Resampling.BILINEAR))


def _size(plane: npt.NDArray[np.generic], scale: float) -> tuple[int, int]:
    width, height = (max(1, int(length * scale + 1e-6)) for length in plane.shape)
    return width, height


def _paste(canvas: Labels, tile: Labels, top: int, left: int, height: int) -> None:
    top += (height - tile.shape[0]) // 2
    left += (_CELL_WIDTH - tile.shape[1]) // 2
    canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def _write_words(canvas: Labels, caption: str, box: Box, width: int) -> None:
    """Caption, sides and legend, smoothed into the levels of grey."""
    from PIL import Image, ImageDraw, ImageFont

    words = Image.new("L", (_WIDTH, _HEIGHT))
    pen = ImageDraw.Draw(words)
    large, small = ImageFont.load_default(14), ImageFont.load_default(12)
    caption = " ".join(caption.split())
    while pen.textlength(caption, large) > _WIDTH - 16:
        caption = caption.removesuffix("…")[:-1] + "…"
    pen.text((8, 5), caption, fill=_BRIGHT_TEXT, font=large)
    top = _CAPTION_HEIGHT
    for axis, height, _ in _ROWS:
        for column, share in enumerate(_PLACES[axis]):
            left = column * _CELL_WIDTH
            first, last = ("P", "A") if axis == _SAGITTAL else ("L", "R")
            pen.text((left + 5, top + 4), first, fill=_DIM_TEXT, font=small)
            pen.text((left + 187, top + 4), last, fill=_DIM_TEXT, font=small, anchor="ra")
            if axis == _SAGITTAL:
                side = "left" if 2 * _slice_index(box[axis], share) < width - 1 else "right"
                place = (left + 5, top + height - 16)
                pen.text(place, f"{side} half", fill=_DIM_TEXT, font=small)
        top += height
    left = 8
    for colour, text in enumerate(
        ("template's brain", "brain mask", "CSF", "grey matter", "white matter")
    ):
        canvas[top + 7 : top + 17, left : left + 10] = _GREYS + colour
        pen.text((left + 15, top + 4), text, fill=_BRIGHT_TEXT, font=small)
        left += 35 + int(pen.textlength(text, small))
    np.maximum(canvas, np.asarray(words), out=canvas)


def _palette() -> bytes:
    greys = [round(255 * level / (_GREYS - 1)) for level in range(_GREYS)]
    return bytes([value for grey in greys for value in (grey,) * 3]) + bytes(
        [value for colour in _COLOURS for value in colour]
    )
