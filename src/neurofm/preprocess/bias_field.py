"""The bias field: slow shading of the image by the receive coil, estimated by N4."""

from __future__ import annotations

import numpy as np

from neurofm.preprocess.n4 import fit_log_field
from neurofm.preprocess.resampling import coarsen
from neurofm.volumes.volume import Volume


def correct_bias(scan: Volume, mask: Volume, spacing_mm: float, shrink: int) -> Volume:
    """Divide a scan by its bias field, fitted inside the brain on a coarse grid.

    The field is a spline, so it is fitted on every `shrink`-th voxel of the scan at `spacing_mm`
    and evaluated exactly at the scan's own voxels. Its logarithm has mean zero over the fit.

    Args:
        scan: intensities, none negative inside the brain.
        mask: the brain, on the same grid; above one half is inside.
        spacing_mm: grid of the fit; axes coarser than this keep their voxels.
        shrink: further subsampling of that grid; less where the scan itself is coarser.
    """
    coarse = coarsen(scan, spacing_mm)
    covered = coarsen(mask, spacing_mm).array.astype(np.float32) > 0.5
    steps = [max(1, round(spacing_mm * shrink / own)) for own in coarse.spacing_mm]
    sparse = tuple(slice(None, None, step) for step in steps)
    values = coarse.array[sparse].astype(np.float64)
    inside = covered[sparse] & (values > 0)
    # Places are in mm from the centre of the scan's first voxel; a coarse voxel holds several.
    fine = [
        np.arange(count, dtype=np.float64) * own
        for count, own in zip(scan.shape, scan.spacing_mm, strict=True)
    ]
    first = [(wide - own) / 2 for wide, own in zip(coarse.spacing_mm, scan.spacing_mm, strict=True)]
    x, y, z = (
        start + np.arange(count) * (step * wide)
        for start, count, step, wide in zip(
            first, values.shape, steps, coarse.spacing_mm, strict=True
        )
    )
    box = [
        max(float(ends[-1]), float(places[-1]))
        for ends, places in zip(fine, (x, y, z), strict=True)
    ]
    field = fit_log_field(values, inside, (x, y, z), (box[0], box[1], box[2]))
    mean = float(field.at(x, y, z)[inside].mean())
    factor = np.exp(mean - field.at(fine[0], fine[1], fine[2])).astype(np.float32)
    return Volume(scan.array.astype(np.float32) * factor, scan.affine)
