"""The loops of a view that is z-scored first, on a CPU, compiled by numba."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from neurofm.augment.cpu_kernel import power, unpack
from neurofm.compiled import compiled


@no_type_check
@compiled(fastmath=False)
def stored_sums(codes, bits):
    """How many voxels of a stored scan are inside, the sum of their numbers and of the squares.

    Exact: 65535 squared fits 2 ** 32 times into 64 bits.

    Args:
        codes: (depth, height, width) uint16.
        bits: the mask, one bit a voxel, the highest bit of a byte first.
    """
    pixels = codes.shape[1] * codes.shape[2]
    inside = np.empty(pixels, np.uint8)
    count, total, squares = np.uint64(0), np.uint64(0), np.uint64(0)
    for z in range(len(codes)):
        unpack(bits, z * pixels, inside)
        row = codes[z].reshape(-1)
        for i in range(pixels):
            code = np.uint32(row[i]) * np.uint32(inside[i])
            count += np.uint64(inside[i])
            total += np.uint64(code)
            squares += np.uint64(code) * np.uint64(code)
    return count, total, squares


@no_type_check
@compiled(fastmath=True)
def standardise_box(scan, start, zscore, box):
    """Write (code - centre) * factor + constant inside the mask and 0 outside, for a box of a scan.

    Args:
        scan: codes and bits, as above.
        start: first voxel of the box (z, y, x).
        zscore: centre, a whole number near the mean, so that the distance to it is exact; factor
            and constant.
        box: (depth, height, width) float32, written.
    """
    (codes, bits), (centre, factor, constant) = scan, zscore
    height, width = codes.shape[1], codes.shape[2]
    inside = np.empty(height * width, np.uint8)
    for z in range(box.shape[0]):
        unpack(bits, (start[0] + z) * height * width, inside)
        for y in range(box.shape[1]):
            first = (start[1] + y) * width + start[2]
            row = codes[start[0] + z, start[1] + y, start[2] : start[2] + box.shape[2]]
            mask, out = inside[first : first + box.shape[2]], box[z, y]
            for x in range(len(out)):
                distance = np.float32(row[x]) - centre
                out[x] = (distance * factor + constant) * np.float32(mask[x])


@no_type_check
@compiled(fastmath=True)
def bend_contrast(image, curve, line):
    """Turn every x into ((x - lowest) * factor) ** gamma * span + constant.

    Args:
        image: (slices, pixels) float32, changed.
        curve: lowest, factor and gamma.
        line: span and constant.
    """
    (lowest, factor, gamma), (span, constant) = curve, line
    for z in range(len(image)):
        row = image[z]
        for i in range(len(row)):
            row[i] = power((row[i] - lowest) * factor, gamma) * span + constant
