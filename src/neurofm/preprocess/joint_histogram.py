"""The joint histogram of a template and a turned scan, in one compiled pass over the template."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
import numpy.typing as npt

from neurofm.compiled import compiled


@no_type_check
@compiled(fastmath=False)
def joint_histogram(
    moving: npt.NDArray[np.float32],
    to_voxel: npt.NDArray[np.float64],
    fixed_bins: npt.NDArray[np.int64],
    bins: int,
    top: float,
) -> npt.NDArray[np.float64]:
    """Count the pairs of a template's bin and the scan's intensity at the same place.

    The scan is read by trilinear interpolation and is 0 outside its grid; an intensity is shared
    between the two bins that it falls between.

    Args:
        moving: (x, y, z) of the scan, at least 0.
        to_voxel: (4, 4), index of the template -> index of the scan.
        fixed_bins: (x, y, z) the template's bin at each of its voxels.
        bins: how many there are.
        top: the scan's intensity of the last bin; more counts as that.

    Returns:
        (bins, bins): template, scan.
    """
    counts = np.zeros((bins, bins))
    nx, ny, nz = moving.shape
    scale = (bins - 1) / top
    last = bins - 1.001
    for i in range(fixed_bins.shape[0]):
        for j in range(fixed_bins.shape[1]):
            for k in range(fixed_bins.shape[2]):
                x = to_voxel[0, 0] * i + to_voxel[0, 1] * j + to_voxel[0, 2] * k + to_voxel[0, 3]
                y = to_voxel[1, 0] * i + to_voxel[1, 1] * j + to_voxel[1, 2] * k + to_voxel[1, 3]
                z = to_voxel[2, 0] * i + to_voxel[2, 1] * j + to_voxel[2, 2] * k + to_voxel[2, 3]
                row = fixed_bins[i, j, k]
                if not (0 <= x <= nx - 1 and 0 <= y <= ny - 1 and 0 <= z <= nz - 1):
                    counts[row, 0] += 1
                    continue
                a, b, c = int(x), int(y), int(z)
                a1, b1, c1 = min(a + 1, nx - 1), min(b + 1, ny - 1), min(c + 1, nz - 1)
                u, v, w = x - a, y - b, z - c
                lower = (moving[a, b, c] * (1 - w) + moving[a, b, c1] * w) * (1 - v) + (
                    moving[a, b1, c] * (1 - w) + moving[a, b1, c1] * w
                ) * v
                upper = (moving[a1, b, c] * (1 - w) + moving[a1, b, c1] * w) * (1 - v) + (
                    moving[a1, b1, c] * (1 - w) + moving[a1, b1, c1] * w
                ) * v
                scaled = min(max((lower * (1 - u) + upper * u) * scale, 0.0), last)
                below = math.floor(scaled)
                counts[row, below] += 1 - (scaled - below)
                counts[row, below + 1] += scaled - below
    return counts
