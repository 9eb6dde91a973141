"""The bias field: slow shading of the image by the receive coil, estimated by N4."""

from __future__ import annotations

import numpy as np

from neurofm.preprocess.ants_images import ants_module, to_ants
from neurofm.preprocess.resampling import coarsen, refine
from neurofm.volumes.volume import Volume

# N4's descents from coarse to fine. On a coarse grid, fifty on the finest level follow the tissue
# rather than the coil: white matter varies less after thirty, and less than after N4 on the scan.
_ITERATIONS = (50, 50, 50, 30)
_TOLERANCE = 1e-7


def correct_bias(scan: Volume, mask: Volume, spacing_mm: float, shrink: int) -> Volume:
    """Divide a scan by its bias field, fitted inside the brain on a coarse grid.

    N4 (Tustison et al. 2010) runs on the scan at `spacing_mm`; the logarithm of its smooth field
    is interpolated to the scan's own voxels. The field has mean one (in the log) in the brain.

    Args:
        scan: intensities, none negative inside the brain.
        mask: the brain, on the same grid.
        spacing_mm: grid of the fit; axes coarser than this keep their voxels.
        shrink: N4's further subsampling of that grid; less where the scan itself is coarser.
    """
    coarse = coarsen(scan, spacing_mm)
    covered = coarsen(Volume(mask.array.astype(np.float32), mask.affine), spacing_mm)
    inside = covered.array.astype(np.float32) > 0.5
    positive = np.maximum(coarse.array.astype(np.float32), 0)
    inside &= positive > 0
    field = ants_module().n4_bias_field_correction(
        to_ants(Volume(positive, coarse.affine)),
        mask=to_ants(Volume(inside.astype(np.float32), coarse.affine)),
        shrink_factor=max(1, round(spacing_mm * shrink / float(np.mean(coarse.spacing_mm)))),
        convergence={"iters": list(_ITERATIONS), "tol": _TOLERANCE},
        return_bias_field=True,
    )
    log_field = np.log(np.maximum(field.numpy(), 1e-3))
    log_field -= log_field[inside].mean()
    fine = refine(Volume(log_field, coarse.affine), scan)
    return Volume(scan.array / np.exp(fine), scan.affine)
