"""Tissue by SynthSeg, a program of FreeSurfer's: its labels of structures as CSF, GM and WM."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.errors import ScanError
from neurofm.preprocess.outside_program import (
    TIME_LIMIT_SECONDS,
    Program,
    find_program,
    run_program,
)
from neurofm.preprocess.tissue import CSF, GREY, WHITE
from neurofm.volumes.grids import Grid
from neurofm.volumes.nifti import read_labels, write_volume
from neurofm.volumes.volume import Volume

SYNTHSEG = Program(
    "synthseg", ("mri_synthseg",), "install FreeSurfer 7.4 or later; see docs/backends.md"
)

# FreeSurfer's numbers of the structures that SynthSeg labels, left and right.
TISSUE_OF_LABEL = {
    # ventricles (lateral, inferior lateral, third, fourth) and the fluid around the brain
    **dict.fromkeys((4, 43, 5, 44, 14, 15, 24), CSF),
    # cortex of cerebrum and cerebellum
    **dict.fromkeys((3, 42, 8, 47), GREY),
    # thalamus, caudate, putamen, pallidum, hippocampus, amygdala, accumbens
    **dict.fromkeys((10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54, 26, 58), GREY),
    # white matter of cerebrum and cerebellum, brain stem, ventral diencephalon
    **dict.fromkeys((2, 41, 7, 46, 16, 28, 60), WHITE),
}
# Of the brain, labels cover nearly all but sulcal fluid; less means they lie elsewhere.
_LEAST_COVERED = 0.5


def synthseg_labels(scan: Volume, limit_seconds: float = TIME_LIMIT_SECONDS) -> Volume:
    """SynthSeg's label map of a scan, in the scan's space on SynthSeg's own grid of 1 mm.

    Args:
        scan: T1-weighted, with or without skull.
        limit_seconds: the program is killed after this time.

    Raises:
        ScanError: (kind "tool") there is no label map in time, or one of unknown labels.
        MissingDependencyError: FreeSurfer is not installed.
    """
    command = find_program(SYNTHSEG)
    with tempfile.TemporaryDirectory(prefix="neurofm-") as name:
        folder = Path(name)
        image, segmentation = folder / "scan.nii.gz", folder / "labels.nii.gz"
        write_volume(image, scan)
        files: list[str | Path] = ["--i", image, "--o", segmentation]
        ending = run_program([command, *files, "--cpu", "--threads", "1"], folder, limit_seconds)
        try:
            labels = read_labels(segmentation)
        except ScanError as error:
            raise _no_use(f"it {error.what}", ending) from None
    unknown = set(np.unique(labels.array).tolist()) - TISSUE_OF_LABEL.keys() - {0}
    if unknown:
        raise _no_use(f"it holds labels SynthSeg does not use, as {min(unknown)}", ending)
    return labels


def tissue_of_labels(
    labels: Volume, brain: npt.NDArray[np.bool_], grid: Grid, transform: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """A label map as a tissue map on the template's grid: CSF 1, grey 2, white matter 3.

    Each voxel takes the label that lies nearest to its centre. Voxels of the brain without a label
    are fluid around it; labels outside the brain do not count.

    Args:
        labels: of `synthseg_labels`.
        brain: (x, y, z) the brain on the grid.
        grid: where the result lies.
        transform: (4, 4), scan mm -> grid mm.

    Raises:
        ScanError: (kind "tool") the labels lie elsewhere than the brain.
    """
    table = np.zeros(max(TISSUE_OF_LABEL) + 1, dtype=np.uint8)
    table[list(TISSUE_OF_LABEL)] = list(TISSUE_OF_LABEL.values())
    to_voxel = np.linalg.inv(transform @ labels.affine) @ grid.affine
    tissue: npt.NDArray[np.uint8] = ndimage.affine_transform(
        table[labels.array.astype(np.intp)],
        to_voxel[:3, :3],
        offset=to_voxel[:3, 3],
        output_shape=grid.shape,
        order=0,
        mode="constant",
    )
    covered = float((tissue[brain] > 0).mean())
    if covered < _LEAST_COVERED:
        raise _no_use(f"its labels cover {covered:.0%} of the brain", "ended")
    tissue[brain & (tissue == 0)] = CSF
    tissue[~brain] = 0
    return tissue


def _no_use(what: str, ending: str) -> ScanError:
    return ScanError(
        f"mri_synthseg left no usable label map: {what} (the program {ending})",
        "try it on this scan by hand, or use preprocess.tissue=mixture",
        kind="tool",
    )
