"""Real scans of the four sites through every step, where this machine has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from neurofm.config import PreprocessConfig
from neurofm.preprocess.likeness import dice
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.volumes.nifti import read_labels

pytestmark = pytest.mark.slow

SCANS = {
    "ds000011/sub-01/anat/sub-01_T1w.nii.gz": "deepbet",
    "ds002748/sub-02/anat/sub-02_T1w.nii.gz": "already-stripped",
    "studyforrest/sub-02_T1w.nii.gz": "deepbet",
}


@pytest.mark.parametrize("name", SCANS)
def test_a_real_scan_passes(name: str, shared: Path) -> None:
    prepared = prepare_scan(shared / "scans" / name, PreprocessConfig(spacing_mm=3.0))
    assert prepared.brain_source == SCANS[name]
    assert prepared.quality.verdict == "pass"
    assert sum(prepared.seconds.values()) < 120


def test_mask_and_white_matter_agree_with_a_reference_segmentation(shared: Path) -> None:
    folder, name = shared / "scans" / "ixi10", "IXI034-HH-1260-T1"
    prepared = prepare_scan(folder / "T1" / f"{name}.nii.gz", PreprocessConfig())
    labels = read_labels(folder / "dlmuse" / f"{name}_DLMUSE.nii.gz")
    matrix = np.linalg.inv(prepared.transform @ labels.affine) @ prepared.image.affine
    moved = ndimage.affine_transform(
        labels.array, matrix[:3, :3], matrix[:3, 3], prepared.image.shape, order=0
    )
    white = np.isin(moved, [40, 41, 61, 62, *range(81, 96)])
    assert dice(np.asarray(prepared.brain_mask.array, dtype=bool), moved > 0) > 0.97
    assert dice(prepared.tissue.array == 3, white) > 0.75
