"""Seconds, volumes and agreement with a reference segmentation, one scan at a time, one thread.

python benchmarks/bench_preprocess.py ../shared/scans
"""

from __future__ import annotations

import platform
import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from neurofm.config import PreprocessConfig
from neurofm.preprocess.pipeline import Prepared, prepare_scan
from neurofm.preprocess.likeness import dice
from neurofm.volumes.nifti import read_labels

SCANS = (
    "ds000011/sub-01/anat/sub-01_T1w.nii.gz",
    "ds002748/sub-02/anat/sub-02_T1w.nii.gz",
    "studyforrest/sub-02_T1w.nii.gz",
    "ixi10/T1/IXI012-HH-1211-T1.nii.gz",
    "ixi10/T1/IXI034-HH-1260-T1.nii.gz",
    "ixi10/T1/IXI051-HH-1328-T1.nii.gz",
)
# MUSE's numbers; all others above zero are grey matter.
FLUID = (1, 46, 4, 11, 49, 50, 51, 52)
WHITE = (40, 41, 61, 62, *range(81, 96))


def main(scans: Path) -> None:
    """Prepare the scans of the list and print what each step took and gave."""
    print(f"Python {platform.python_version()}, {platform.machine()}")
    config = PreprocessConfig()
    prepare_scan(scans / SCANS[0], config)  # loads libraries, network and template
    for name in SCANS:
        started, cpu = time.perf_counter(), time.process_time()
        prepared = prepare_scan(scans / name, config)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
        steps = " ".join(f"{step} {seconds:.1f}" for step, seconds in prepared.seconds.items())
        print(f"{name}: {wall:.1f} s ({cpu:.1f} s of CPU): {steps}")
        quality = prepared.quality
        print(f"  {quality.verdict} r={quality.correlation:.2f} brain {quality.brain_ml:.0f} mL")
        reference = scans / "ixi10" / "dlmuse" / f"{Path(name).name[:-7]}_DLMUSE.nii.gz"
        if reference.is_file():
            print(f"  {agreement(prepared, reference)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory {peak:.1f} GB")


def agreement(prepared: Prepared, reference: Path) -> str:
    """Dice coefficients with a MUSE label map of the same scan."""
    labels = read_labels(reference)
    matrix = np.linalg.inv(prepared.transform @ labels.affine) @ prepared.image.affine
    moved = ndimage.affine_transform(
        labels.array, matrix[:3, :3], matrix[:3, 3], prepared.image.shape, order=0
    )
    truth = np.where(moved > 0, 2, 0)
    truth[np.isin(moved, FLUID)] = 1
    truth[np.isin(moved, WHITE)] = 3
    tissue = np.asarray(prepared.tissue.array)
    names = ("CSF", "GM", "WM")
    parts = [f"{name} {dice(tissue == k, truth == k):.3f}" for k, name in enumerate(names, 1)]
    return f"Dice with DLMUSE: brain {dice(tissue > 0, moved > 0):.3f}, {', '.join(parts)}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
