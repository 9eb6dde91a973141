"""A mask that another tool made: what was decided about it stands in the notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurofm.config import PreprocessConfig
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume


def test_a_mask_of_0_and_255_is_used_and_noted(
    tmp_path: Path, scan_file: Path, known_scan: Volume, quick_config: PreprocessConfig
) -> None:
    """Case 71."""
    mask = Volume((known_scan.array > 0) * np.uint8(255), known_scan.affine)
    write_volume(tmp_path / "mask.nii.gz", mask, np.uint8)
    prepared = prepare_scan(scan_file, quick_config, tmp_path / "mask.nii.gz")
    assert prepared.brain_source == "given"
    assert "the mask reaches 255: every voxel above 0 counts as inside" in prepared.notes
