"""Views straight from a store's whole numbers, on a CPU: no float32 volume is made in between."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurofm.augment import cpu_affine, cpu_kernel, cpu_zscore_first
from neurofm.augment.draws import ViewDraw
from neurofm.augment.noise import NoiseDraw, fill_with_noise
from neurofm.augment.scanner import scanned_box
from neurofm.augment.views import ONE_INTENSITY
from neurofm.data.loader import StoredScan
from neurofm.data.prepare import FLOAT_NOISE

Volume = npt.NDArray[np.float32]  # (slices, pixels)
Inside = npt.NDArray[np.uint8]  # the same
Axis = tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]
_FOR_RANGE = 1e-7  # MONAI adds it to the range of intensities before it divides


def draw_stored(
    scan: StoredScan,
    draw: ViewDraw,
    image: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
) -> bool:
    """Make one view of a stored scan: what `finished_views` does, compiled.

    A later z-score takes away every factor and constant, so stored whole numbers need no decoding.
    Differences from the torch path are float32 roundings (docs/views.md).

    Args:
        scan: from `ScanLoader.scan`.
        draw: what to do.
        image: (depth, height, width), written; undefined where the view is not usable.
        mask: the same shape, written.

    Returns:
        whether the view is usable (see `finished_views`).
    """
    flat = image.reshape(len(image), -1)
    inside = mask.view(np.uint8).reshape(len(image), -1)
    if draw.zscore_first:
        usable = _zscored_first(scan, draw, image.shape, flat, inside)
    else:
        usable = _zscored_last(scan, draw, image.shape, flat, inside)
    if usable and draw.noise is not None:
        _add_noise(draw.noise, image, None if draw.zscore_first else mask)
    return usable


def _zscored_last(
    scan: StoredScan, draw: ViewDraw, shape: tuple[int, ...], flat: Volume, inside: Inside
) -> bool:
    """Move, change the contrast and z-score inside the mask as moved; a shift has no effect."""
    spans = np.empty((len(flat), 2), dtype=np.int64)
    count, lowest, highest = _move(scan, draw, shape, None, (flat, inside, spans))
    if not count:
        return False
    centre = cpu_kernel.moments_inside(flat, inside, spans, np.float32(0))[0] / count
    low, span = lowest, highest - lowest
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


def _zscored_first(
    scan: StoredScan, draw: ViewDraw, shape: tuple[int, ...], flat: Volume, inside: Inside
) -> bool:
    """Z-score inside the stored mask, move, change contrast and shift; nothing is masked after."""
    moments = _moments(scan)
    if moments is None:
        return False
    spans = np.empty((len(flat), 2), dtype=np.int64)
    count, lowest, highest = _move(scan, draw, shape, moments, (flat, inside, spans))
    span = highest - lowest
    if not (count and span > ONE_INTENSITY):
        return False
    if draw.gamma is not None:
        curve = (np.float32(lowest), np.float32(1 / (span + _FOR_RANGE)), np.float32(draw.gamma))
        line = (np.float32(span), np.float32(lowest + draw.shift))
        cpu_zscore_first.bend_contrast(flat, curve, line)
    elif draw.shift:
        flat += np.float32(draw.shift)
    return True


def _move(
    scan: StoredScan,
    draw: ViewDraw,
    shape: tuple[int, ...],
    moments: tuple[float, float] | None,
    into: tuple[Volume, Inside, npt.NDArray[np.int64]],
) -> tuple[int, float, float]:
    """Crop to affine map; voxels inside and, unless there are none, lowest and highest intensity.

    Args:
        scan, draw: what to do.
        shape: of the volume.
        moments: mean and standard deviation to z-score by first, or None.
        into: image, mask and the spans of its slices, written.
    """
    flat, inside, spans = into
    places, nearest = _rotation(draw, shape[1:])
    spare, spare_inside = _OWN.volumes(flat.shape)
    target, target_inside = (flat, inside) if draw.affine is None else (spare, spare_inside)
    mask_places = _mask_places(draw, shape, nearest)
    count = cpu_kernel.move_mask(scan.bits, *mask_places, target_inside, spans)
    if not count:
        inside[:] = 0
        return 0, 0.0, 0.0
    codes, start = _signal(scan, draw)
    if moments is not None:
        box = (spare if draw.affine is None else flat).reshape(-1)
        codes, start = _zscored_box(scan, draw, moments, box), (0, 0, 0)
    lowest, highest = cpu_kernel.move_image(
        codes, (start, draw.crop_size), _axes(draw, shape), places, target
    )
    if draw.affine is not None:
        affine = draw.affine.matrix(), cpu_affine.padding_number(draw.affine.padding)
        count, lowest, highest = cpu_affine.move_volume(
            (target, target_inside), shape, affine, into
        )
    return int(count), float(lowest), float(highest)


def _moments(scan: StoredScan) -> tuple[float, float] | None:
    """Mean and standard deviation of the stored numbers inside the mask; None without contrast."""
    count, total, squares = map(int, cpu_zscore_first.stored_sums(scan.codes, scan.bits))
    if not count:
        return None
    mean, variance = total / count, (count * squares - total**2) / count**2
    noise = FLOAT_NOISE * (scan.offset + scan.step * mean) / scan.step
    return (mean, variance**0.5) if variance > noise**2 else None


def _zscored_box(
    scan: StoredScan, draw: ViewDraw, moments: tuple[float, float], memory: Volume
) -> npt.NDArray[np.float32]:
    """The crop of a scan, z-scored inside the scan's mask and 0 outside, in memory that is free."""
    mean, deviation = moments
    box = memory[: int(np.prod(draw.crop_size))].reshape(draw.crop_size)
    centre = round(mean)
    zscore = tuple(map(np.float32, (centre, 1 / deviation, (centre - mean) / deviation)))
    cpu_zscore_first.standardise_box((scan.codes, scan.bits), draw.crop_start, zscore, box)
    return box


def _add_noise(
    noise: NoiseDraw, image: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None
) -> None:
    """Add the numbers that `add_noise_` adds on a CPU."""
    spare, _ = _OWN.volumes((len(image), image[0].size))
    field = fill_with_noise(torch.from_numpy(spare.reshape(image.shape)), noise.seed).numpy()
    field *= np.float32(noise.std)
    if mask is not None:
        field *= mask
    image += field


class _OwnMemory(threading.local):
    """One image and one mask for each thread, used again for every view."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = (0, 0)
        self._volumes = np.empty(0, np.float32), np.empty(0, np.uint8)

    def volumes(self, shape: tuple[int, ...]) -> tuple[Volume, Inside]:
        """Of undefined content; no memory is taken before it is written to."""
        if shape != self._shape:
            self._shape = shape
            self._volumes = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        return self._volumes


_OWN = _OwnMemory()


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
