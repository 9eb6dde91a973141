"""Views straight from a store's whole numbers, on a CPU: no float32 volume is made in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurofm.augment import cpu_kernel
from neurofm.augment.draws import ViewDraw
from neurofm.augment.scanner import scanned_box
from neurofm.data.loader import StoredScan
from neurofm.data.prepare import FLOAT_NOISE

Axis = tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]
_FOR_RANGE = 1e-7  # MONAI adds it to the range of intensities before it divides


def draw_stored(
    scan: StoredScan,
    draw: ViewDraw,
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
) -> bool:
    """Make one z-scored view of a stored scan: `apply_views` and the z-score, compiled.

    The z-score takes away every factor and constant, so stored whole numbers need no decoding.
    Differences from the torch path are float32 roundings (docs/views.md).

    Args:
        scan: from `ScanLoader.scan`.
        draw: geometry, shift and contrast; scanner augmentation comes first.
        image: (depth, height, width), written; undefined where the view is not usable.
        mask: the same shape, written.

    Returns:
        whether the view is usable: it holds brain of more than one intensity, all finite.
    """
    flat = image.reshape(len(image), -1)
    inside = mask.view(np.uint8).reshape(len(image), -1)
    spans = np.empty((len(image), 2), dtype=np.int64)
    places, nearest = _rotation(draw, image.shape[1:])
    count = cpu_kernel.move_mask(
        scan.bits, *_mask_places(draw, image.shape, nearest), inside, spans
    )
    if not count:
        return False
    codes, start = _signal(scan, draw)
    box, axes = (start, draw.crop_size), _axes(draw, image.shape)
    lowest, highest = cpu_kernel.move_image(codes, box, axes, places, flat)
    centre = cpu_kernel.moments_inside(flat, inside, spans, np.float32(0))[0] / count
    low, span = float(lowest), float(highest) - float(lowest)
    if draw.gamma is None:
        low, span = 0.0, 1.0
        total, squares = cpu_kernel.moments_inside(flat, inside, spans, np.float32(centre))
    else:
        factor = 1 / (span + _FOR_RANGE / scan.step)
        centre = (max(centre - low, 0.0) * factor) ** draw.gamma
        curve = (np.float32(low), np.float32(factor), np.float32(draw.gamma))
        total, squares = cpu_kernel.adjust_contrast(flat, inside, spans, curve, np.float32(centre))
    correction = total / count
    variance = squares / count - correction**2
    if not (span and variance > _noise(scan, draw, low + span * centre, span) ** 2):
        return False
    line = (np.float32(variance**-0.5), np.float32(-correction * variance**-0.5))
    cpu_kernel.standardise(flat, inside, spans, np.float32(centre), line)
    return True


def _noise(scan: StoredScan, draw: ViewDraw, code: float, span: float) -> float:
    """What float32 cannot tell from a constant around a code, in units of `span`; NaN for NaN."""
    intensity = scan.offset + draw.shift + scan.step * code
    return FLOAT_NOISE * (abs(intensity) / scan.step + code) / span


def _signal(
    scan: StoredScan, draw: ViewDraw
) -> tuple[npt.NDArray[np.uint16] | npt.NDArray[np.float32], tuple[int, int, int]]:
    """The voxels a view is made of, and where in them its crop begins.

    Code 0 is the lowest intensity of a scan, so codes are signals but for a factor.
    """
    if draw.scanner is None:
        return scan.codes, draw.crop_start
    z, y, x = (
        slice(low, low + count) for low, count in zip(draw.crop_start, draw.crop_size, strict=True)
    )
    box = torch.from_numpy(scan.codes[z, y, x].astype(np.float32))
    seen: npt.NDArray[np.float32] = scanned_box(
        box, draw.scanner, draw.crop_start, scan.codes.shape
    ).numpy()
    return seen, (0, 0, 0)


def _axes(draw: ViewDraw, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """For each place of z, y and x: the voxel of the box before it, and how far behind that."""
    axes = []
    for full, size in zip(shape, draw.crop_size, strict=True):
        places = np.clip((np.arange(full) + 0.5) * size / full - 0.5, 0, size - 1)
        first = np.minimum(places.astype(np.uint32), max(size - 2, 0)).astype(np.uint32)
        axes.append((first, (places - first).astype(np.float32)))
    if draw.flip:
        first, weight = axes[2]
        axes[2] = first[::-1].copy(), weight[::-1].copy()
    return tuple(axes)


def _mask_places(
    draw: ViewDraw, shape: tuple[int, ...], nearest: npt.NDArray[np.uint32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """The stored slice of each slice, and the stored pixel of each pixel."""
    z, y, x = (
        start + _nearest_of_box(size, full)
        for start, size, full in zip(draw.crop_start, draw.crop_size, shape, strict=True)
    )
    if draw.flip:
        x = x[::-1]
    pixels = (y[:, None] * shape[2] + x).astype(np.uint32).ravel()
    return z, pixels[nearest] if len(nearest) else pixels


def _nearest_of_box(size: int, full: int) -> npt.NDArray[np.int64]:
    """floor(index * size / full) as torch computes it, in float32."""
    scale = np.float32(size) / np.float32(full)
    places: npt.NDArray[np.int64] = (np.arange(full, dtype=np.float32) * scale).astype(np.int64)
    return np.minimum(places, size - 1)


def _rotation(
    draw: ViewDraw, plane: tuple[int, ...]
) -> tuple[tuple[Any, Any, Any], npt.NDArray[np.uint32]]:
    """What `cpu_kernel.rotation_places` says of each pixel; nothing where nothing is rotated."""
    pixels = 0 if draw.rotation_radians is None else plane[0] * plane[1]
    corner, nearest = np.empty(pixels, np.uint32), np.empty(pixels, np.uint32)
    down, right = np.empty(pixels, np.float32), np.empty(pixels, np.float32)
    if draw.rotation_radians is not None:
        cpu_kernel.rotation_places(draw.rotation_radians, plane, (corner, down, right), nearest)
    return (corner, down, right), nearest
