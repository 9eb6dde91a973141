"""The loops of a view on a CPU, compiled by numba: slice by slice, so that all stays in cache.

Every function works on whole slices as flat rows of pixels, releases the GIL and is written so
that the compiler turns its loops into vector instructions. Values are the stored whole numbers
(0 to 65535) as float32, never NaN, which is what allows arithmetic to be reordered (`fastmath`).
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

from neurofm.augment.cpu_arithmetic import (
    exponent,
    larger,
    mantissa,
    power_of_two,
    smaller,
    truncated,
)
from neurofm.compiled import compiled


@no_type_check
@compiled(fastmath=False)
def rotation_places(radians, plane, places, nearest):
    """Find where each pixel comes from (see `geometry.rotate_in_plane`).

    Args:
        radians: the angle.
        plane: height and width.
        places: written: corner, the upper left one of the four pixels around the place; down and
            right (0 to 1), how far from it the place lies.
        nearest: written: the pixel nearest to the place, half to even.
    """
    (height, width), (corner, down, right) = plane, places
    cos, sin = math.cos(radians), math.sin(radians)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    for y in range(height):
        for x in range(width):
            place_y = cos * (y - middle_y) - sin * (x - middle_x) + middle_y
            place_x = sin * (y - middle_y) + cos * (x - middle_x) + middle_x
            place_y = min(max(place_y, 0.0), height - 1.0)
            place_x = min(max(place_x, 0.0), width - 1.0)
            first_y = min(int(place_y), max(height - 2, 0))
            first_x = min(int(place_x), max(width - 2, 0))
            pixel = y * width + x
            corner[pixel] = first_y * width + first_x
            down[pixel] = place_y - first_y
            right[pixel] = place_x - first_x
            nearest[pixel] = round(place_y) * width + round(place_x)


@no_type_check
@compiled(fastmath=False)
def move_mask(bits, source_slices, source_pixels, mask, spans):
    """Look every voxel of a mask up in the stored bits; return how many are inside.

    Args:
        bits: one bit a voxel of the stored volume, the highest bit of a byte first.
        source_slices: the stored slice of each slice.
        source_pixels: the stored pixel of each pixel.
        mask: (slices, pixels) uint8, written.
        spans: (slices, 2), written: from the first to after the last pixel inside.
    """
    depth, pixels = mask.shape
    flat = np.empty(pixels, np.uint8)
    total, inside = 0, 0
    for z in range(depth):
        if z and source_slices[z] == source_slices[z - 1]:
            mask[z] = mask[z - 1]
            spans[z] = spans[z - 1]
        else:
            unpack(bits, source_slices[z] * pixels, flat)
            inside = 0
            inside = _look_up(flat, source_pixels, mask[z])
            find_span(mask[z], spans[z])
        total += inside
    return total


@no_type_check
@compiled(fastmath=True)
def move_image(codes, box, axes, places, image):
    """Stretch a box of stored numbers to the full grid, rotate its slices; return lowest, highest.

    First each stored slice: along its rows, then across them, then the rotation; at last between
    slices. All four are linear, so the order changes rounding only.

    Args:
        codes: the stored volume (depth, height, width).
        box: its first voxel and its voxels (z, y, x).
        axes: for each place of the full z, y and x axis the voxel of the box before it, and how
            far (0 to 1) it lies behind that voxel.
        places: from `rotation_places`; empty for no rotation.
        image: (slices, pixels) float32, written.
    """
    size, (z_first, z_weight), width = box[1], axes[0], len(axes[2][0])
    rows = np.empty((size[1], width), np.float32)
    slices = np.empty((2, image.shape[1]), np.float32)
    pixels = image.shape[1]
    level = np.zeros(pixels + width + 1, np.float32)  # a place may have no pixel below or behind
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    stretched = 0
    for z in range(len(image)):
        before, after = z_first[z], min(z_first[z] + 1, size[0] - 1)
        while stretched <= after:
            target = slices[stretched % 2]
            stored = codes[box[0][0] + stretched]
            if len(places[0]):
                _stretch_slice(stored, box, axes, rows, level[:pixels])
                _rotate(level, places, width, target)
            else:
                _stretch_slice(stored, box, axes, rows, target)
            stretched += 1
        low, high = _blend(slices[before % 2], slices[after % 2], z_weight[z], image[z])
        lowest, highest = min(lowest, low), max(highest, high)
    return lowest, highest


@no_type_check
@compiled(fastmath=True)
def adjust_contrast(image, mask, spans, curve, centre):
    """Turn every x of the spans into ((x - lowest) * factor) ** gamma; `curve` holds these three.

    Returns the sum and the sum of squares of the distances to `centre` inside the mask.
    """
    lowest, factor, gamma = curve
    total, squares = 0.0, 0.0
    for z in range(len(image)):
        row, inside = image[z, spans[z, 0] : spans[z, 1]], mask[z, spans[z, 0] : spans[z, 1]]
        part, square = np.float32(0), np.float32(0)
        for i in range(len(row)):
            value = power((row[i] - lowest) * factor, gamma)
            row[i] = value
            distance = (value - centre) * np.float32(inside[i])
            part += distance
            square += distance * distance
        total += part
        squares += square
    return total, squares


@no_type_check
@compiled(fastmath=True)
def moments_inside(image, mask, spans, centre):
    """Sum and sum of squares of the distances to `centre` inside the mask."""
    total, squares = 0.0, 0.0
    for z in range(len(image)):
        row, inside = image[z, spans[z, 0] : spans[z, 1]], mask[z, spans[z, 0] : spans[z, 1]]
        part, square = np.float32(0), np.float32(0)
        for i in range(len(row)):
            distance = (row[i] - centre) * np.float32(inside[i])
            part += distance
            square += distance * distance
        total += part
        squares += square
    return total, squares


@no_type_check
@compiled(fastmath=True)
def standardise(image, mask, spans, centre, line):
    """Turn every x inside the mask into (x - centre) * factor + constant and all others into 0.

    `line` is factor and constant: a mean of 60000.001 is no float32, its two parts are.
    """
    factor, constant = line
    for z in range(len(image)):
        first, end = spans[z]
        image[z, :first] = 0
        image[z, end:] = 0
        row, inside = image[z, first:end], mask[z, first:end]
        for i in range(len(row)):
            row[i] = ((row[i] - centre) * factor + constant) * np.float32(inside[i])


@no_type_check
@compiled(fastmath=False)
def unpack(bits, start, out):
    """One byte for each bit from `start` on."""
    if start % 8 == 0 and len(out) % 8 == 0:
        for i in range(len(out) // 8):
            byte = np.uint32(bits[start // 8 + i])
            for j in range(8):
                out[8 * i + j] = (byte >> np.uint32(7 - j)) & np.uint32(1)
    else:
        for i in range(len(out)):
            out[i] = (bits[(start + i) // 8] >> (7 - (start + i) % 8)) & 1


@no_type_check
@compiled(fastmath=False)
def _look_up(flat, places, out):
    total = 0
    for i in range(len(out)):
        value = flat[places[i]]
        out[i] = value
        total += value
    return total


@no_type_check
@compiled(fastmath=False)
def find_span(row, span):
    """From the first pixel inside to after the last."""
    first, end = 0, len(row)
    while first < end and row[first] == 0:
        first += 1
    while end > first and row[end - 1] == 0:
        end -= 1
    span[0], span[1] = first, end


@no_type_check
@compiled(fastmath=True)
def _stretch_slice(stored, box, axes, rows, out):
    """Trilinear's part within a slice; `rows` is memory for the slice stretched along x."""
    (start, size), (_, (y_first, y_weight), (x_first, x_weight)) = box, axes
    width, last_row = len(x_first), size[1] - 1
    following = np.uint32(min(size[2] - 1, 1))
    row = np.empty(size[2], np.float32)
    for y in range(size[1]):
        row[:] = stored[start[1] + y, start[2] : start[2] + size[2]]
        stretched = rows[y]
        for x in range(width):
            left = row[x_first[x]]
            stretched[x] = left + x_weight[x] * (row[x_first[x] + following] - left)
    for y in range(len(y_first)):
        a, b = rows[y_first[y]], rows[min(y_first[y] + 1, last_row)]
        line, weight = out[y * width : (y + 1) * width], y_weight[y]
        for x in range(width):
            line[x] = a[x] + weight * (b[x] - a[x])


@no_type_check
@compiled(fastmath=True)
def _blend(before, after, weight, out):
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    for i in range(len(out)):
        value = before[i] + weight * (after[i] - before[i])
        out[i] = value
        lowest = smaller(lowest, value)
        highest = larger(highest, value)
    return lowest, highest


@no_type_check
@compiled(fastmath=True)
def _rotate(pixels, places, width, out):
    corner, down, right = places
    one, below = np.uint32(1), np.uint32(width)
    for i in range(len(out)):
        k = corner[i]
        top = pixels[k] + right[i] * (pixels[k + one] - pixels[k])
        k += below
        bottom = pixels[k] + right[i] * (pixels[k + one] - pixels[k])
        out[i] = top + down[i] * (bottom - top)


# log2(1 + t) / t for 1 + t between sqrt(1/2) and sqrt(2), and 2 ** f for f between -1/2 and 1/2:
# least-squares fits at 2000 Chebyshev nodes; errors below 6e-7 and 2e-7.
_LOG = tuple(map(np.float32, (1.44269643, -0.72136404, 0.48062915, -0.35935065, 0.29563360)))
_LOG += tuple(map(np.float32, (-0.26950627, 0.17212873)))
_EXP = tuple(map(np.float32, (1.00000008, 0.69314721, 0.24022107, 0.05550327, 0.00967604)))
_EXP += (np.float32(0.00134004),)
_ONE, _BIAS, _HALF = np.float32(1), np.float32(127), np.float32(0.5)
_LOWEST_EXPONENT = np.float32(-126)


@no_type_check
@compiled(fastmath=True)
def power(base, gamma):
    """Base (0 to 1) to the power of a positive gamma by polynomials, to a few float32 roundings."""
    a, b = _LOG, _EXP
    t = mantissa(base) - _ONE
    tail = a[3] + t * (a[4] + t * (a[5] + t * a[6]))
    log2 = exponent(base) + t * (a[0] + t * (a[1] + t * (a[2] + t * tail)))
    x = larger(gamma * log2, _LOWEST_EXPONENT)
    whole = truncated(x + _BIAS + _HALF)
    f = x + (_BIAS - whole)
    return power_of_two(whole) * (
        b[0] + f * (b[1] + f * (b[2] + f * (b[3] + f * (b[4] + f * b[5]))))
    )
