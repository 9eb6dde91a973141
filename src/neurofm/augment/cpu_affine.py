"""The loops of an affine map on a CPU, compiled by numba: row by row of the result.

The places of a row's voxels are computed first, one axis at a time, then its eight neighbours are
looked up: image trilinear, mask nearest (see `affine.move_affinely`).
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from neurofm.augment.cpu_arithmetic import larger, smaller
from neurofm.augment.cpu_kernel import compiled, find_span

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
    offsets, weights = np.empty((3, 3, width), np.uint32), np.empty((3, 2, width), np.float32)
    is_there = np.empty(width, np.uint8)
    flat, flat_inside = source.reshape(-1), inside.reshape(-1)
    lowest, highest, total = np.float32(np.inf), np.float32(-np.inf), 0
    for z in range(depth):
        for y in range(height):
            is_there[:] = 1
            for axis in range(3):
                line = matrix[axis]
                start = line[0] * (z - (depth - 1) / 2) + line[1] * (y - (height - 1) / 2)
                start += line[3] - line[2] * (width - 1) / 2 + (shape[axis] - 1) / 2
                place = (start, line[2], shape[axis], strides[axis])
                _find_places(place, padding, offsets[axis], weights[axis], is_there)
            row = slice(y * width, (y + 1) * width)
            total += _look_up(flat_inside, offsets, is_there, mask[z, row])
            low, high = _interpolate(flat, offsets, weights, image[z, row])
            lowest, highest = min(lowest, low), max(highest, high)
        find_span(mask[z], spans[z])
    return total, lowest, highest


@no_type_check
@compiled(fastmath=False)
def _find_places(place, padding, offsets, weights, is_there):
    """The voxels before, behind and nearest to each place of a row, along one axis.

    Args:
        place: of the row's first voxel; from one voxel to the next; voxels and stride of the axis.
        padding: from `padding_number`.
        offsets: (3, width), written: of the voxels before, behind and nearest.
        weights: (2, width), written: of the voxels before and behind.
        is_there: set to 0 where the nearest voxel lies beyond the border and counts as 0.
    """
    start, step, size, stride = place
    last, turn = size - 1.0, 2.0 * size
    for x in range(offsets.shape[1]):
        at = start + step * x
        if padding == _REFLECTION:
            at += 0.5
            at = size - abs(at - turn * np.floor(at / turn) - size) - 0.5
        if padding == _ZEROS:
            at = min(max(at, -1.0), size * 1.0)
            nearest = np.rint(at)
            is_there[x] &= (nearest >= 0.0) & (nearest <= last)
            before = np.floor(at)
            behind = at - before
            weights[0, x] = (1.0 - behind) * (before >= 0.0) * (before <= last)
            weights[1, x] = behind * (before + 1.0 <= last)
            offsets[0, x] = np.uint32(min(max(before, 0.0), last)) * np.uint32(stride)
            offsets[1, x] = np.uint32(min(before + 1.0, last)) * np.uint32(stride)
            offsets[2, x] = np.uint32(min(max(nearest, 0.0), last)) * np.uint32(stride)
        else:
            at = min(max(at, 0.0), last)
            before = np.floor(at)
            behind = at - before
            weights[0, x] = 1.0 - behind
            weights[1, x] = behind
            offsets[0, x] = np.uint32(before) * np.uint32(stride)
            offsets[1, x] = np.uint32(min(before + 1.0, last)) * np.uint32(stride)
            offsets[2, x] = np.uint32(np.rint(at)) * np.uint32(stride)


@no_type_check
@compiled(fastmath=False)
def _look_up(inside, offsets, is_there, out):
    total = 0
    for x in range(len(out)):
        value = inside[offsets[0, 2, x] + offsets[1, 2, x] + offsets[2, 2, x]] & is_there[x]
        out[x] = value
        total += value
    return total


@no_type_check
@compiled(fastmath=True)
def _interpolate(flat, offsets, weights, out):
    z0, z1, y0, y1 = offsets[0, 0], offsets[0, 1], offsets[1, 0], offsets[1, 1]
    x0, x1, left, right = offsets[2, 0], offsets[2, 1], weights[2, 0], weights[2, 1]
    above, below, before, behind = weights[1, 0], weights[1, 1], weights[0, 0], weights[0, 1]
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for x in range(len(out)):
        a, b, first, second = left[x], right[x], x0[x], x1[x]
        k, m = z0[x] + y0[x], z0[x] + y1[x]
        value = above[x] * (a * flat[k + first] + b * flat[k + second])
        value += below[x] * (a * flat[m + first] + b * flat[m + second])
        k, m = z1[x] + y0[x], z1[x] + y1[x]
        other = above[x] * (a * flat[k + first] + b * flat[k + second])
        other += below[x] * (a * flat[m + first] + b * flat[m + second])
        value = before[x] * value + behind[x] * other
        out[x] = value
        lowest, highest = smaller(lowest, value), larger(highest, value)
    return lowest, highest
