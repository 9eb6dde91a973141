"""The loops of an affine map on a CPU, compiled by numba: row by row of the result.

The places of a row's voxels are computed first, one axis at a time, then its eight neighbours are
looked up: image trilinear, mask nearest (see `affine.move_affinely`).
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from neurofm.augment.cpu_arithmetic import larger, smaller
from neurofm.augment.cpu_kernel import find_span
from neurofm.compiled import compiled

_PADDINGS = {"reflection": 0, "border": 1, "zeros": 2}
_REFLECTION, _BORDER, _ZEROS = _PADDINGS.values()


def padding_number(padding: str) -> int:
    """How the loops call a kind of padding."""
    return _PADDINGS[padding]


@no_type_check
@compiled(fastmath=True)
def move_volume(volume, shape, affine, into):
    """Move image and mask; return how many voxels are inside, the lowest and highest intensity.

    Args:
        volume: image (slices, pixels) float32 without NaN, and mask, uint8.
        shape: voxels (z, y, x).
        affine: (3, 4) float64, from `AffineDraw.matrix`, and padding, from `padding_number`.
        into: written, other memory than `volume`: image, mask, and the spans of its slices, each
            from the first to after the last pixel inside.
    """
    (source, inside), (matrix, padding), (image, mask, spans) = volume, affine, into
    depth, height, width = shape
    strides = (height * width, width, 1)
    weights = np.empty((3, 2, width), np.float32)
    corner, nearest = np.empty(width, np.uint32), np.empty(width, np.uint32)
    is_there = np.empty(width, np.uint8)
    flat, flat_inside = source.reshape(-1), inside.reshape(-1)
    lowest, highest, total = np.float32(np.inf), np.float32(-np.inf), 0
    for z in range(depth):
        for y in range(height):
            corner[:], nearest[:], is_there[:] = 0, 0, 1
            for axis in range(3):
                line = matrix[axis]
                start = line[0] * (z - (depth - 1) / 2) + line[1] * (y - (height - 1) / 2)
                start += line[3] - line[2] * (width - 1) / 2 + (shape[axis] - 1) / 2
                place = (start, line[2], shape[axis], strides[axis])
                _find_places(place, padding, weights[axis], (corner, nearest, is_there))
            row = slice(y * width, (y + 1) * width)
            total += _look_up(flat_inside, nearest, is_there, mask[z, row])
            low, high = _interpolate(flat, (corner, shape), weights, image[z, row])
            lowest, highest = min(lowest, low), max(highest, high)
        find_span(mask[z], spans[z])
    return total, lowest, highest


@no_type_check
@compiled(fastmath=False)
def _find_places(place, padding, weights, found):
    """Add to each voxel of a row what one axis says of the place it comes from.

    Args:
        place: of the row's first voxel; from one voxel to the next; voxels and stride of the axis.
        padding: from `padding_number`.
        weights: (2, width), written: of the voxel before the place and of the one behind it.
        found: changed: flat index of the voxel before, flat index of the nearest, and whether that
            one is inside the volume.
    """
    start, step, size, stride = place
    corner, nearest, is_there = found
    last, turn = size - 1.0, 2.0 * size
    last_before, has_two = max(size - 2.0, 0.0), min(last, 1.0)
    end = start + step * (len(corner) - 1)
    if min(start, end) >= 0.0 and max(start, end) <= last:
        padding = _BORDER  # nothing lies beyond it
    for x in range(len(corner)):
        at = start + step * x
        if padding == _REFLECTION:
            at += 0.5
            at = size - abs(at - turn * np.floor(at / turn) - size) - 0.5
        if padding == _ZEROS:
            at = min(max(at, -1.0), size * 1.0)
            closest = np.rint(at)
            is_there[x] &= (closest >= 0.0) & (closest <= last)
            closest = min(max(closest, 0.0), last)
        else:
            at = min(max(at, 0.0), last)
            closest = np.rint(at)
        before = min(max(np.floor(at), 0.0), last_before)
        weights[0, x] = max(1.0 - abs(at - before), 0.0)
        weights[1, x] = max(1.0 - abs(at - before - 1.0), 0.0) * has_two
        corner[x] += np.uint32(before) * np.uint32(stride)
        nearest[x] += np.uint32(closest) * np.uint32(stride)


@no_type_check
@compiled(fastmath=False)
def _look_up(inside, nearest, is_there, out):
    total = 0
    for x in range(len(out)):
        value = inside[nearest[x]] & is_there[x]
        out[x] = value
        total += value
    return total


@no_type_check
@compiled(fastmath=True)
def _interpolate(flat, places, weights, out):
    """An axis of one voxel has no voxel behind: the same one is read again, its weight is 0."""
    corner, (depth, height, width) = places
    behind = np.uint32(min(width - 1, 1))
    below = np.uint32(width * min(height - 1, 1))
    deeper = np.uint32(height * width * min(depth - 1, 1))
    (z0, z1), (y0, y1), (x0, x1) = weights[0], weights[1], weights[2]
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for x in range(len(out)):
        k = corner[x]
        upper = x0[x] * flat[k] + x1[x] * flat[k + behind]
        k += below
        lower = x0[x] * flat[k] + x1[x] * flat[k + behind]
        value = z0[x] * (y0[x] * upper + y1[x] * lower)
        k = corner[x] + deeper
        upper = x0[x] * flat[k] + x1[x] * flat[k + behind]
        k += below
        lower = x0[x] * flat[k] + x1[x] * flat[k + behind]
        value += z1[x] * (y0[x] * upper + y1[x] * lower)
        out[x] = value
        lowest, highest = smaller(lowest, value), larger(highest, value)
    return lowest, highest
