"""The files of one explained scan: four maps, a picture and a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurofm.files import write_bytes, write_json
from neurofm.inference.explain import ExplainedScan
from neurofm.reports.explanation_picture import draw_explanation
from neurofm.volumes.nifti import write_volume


def write_explanation(folder: Path, scan: ExplainedScan) -> None:
    """Write the files of a scan, the record last.

    `SCAN_template_map.nii.gz` and `SCAN_template_random_map.nii.gz` lie on the template's 1 mm
    grid, `SCAN_native_map.nii.gz` and `SCAN_native_random_map.nii.gz` on the voxels of the raw
    file. `SCAN.png` and `SCAN.json` name nobody.

    Args:
        folder: receives them.
        scan: explained.
    """
    name = scan.name.replace("/", "_")
    for what, volume in (
        ("template_map", scan.on_template),
        ("template_random_map", scan.randomised_on_template),
    ):
        write_volume(folder / f"{name}_{what}.nii.gz", volume, np.float32, space="mni152")
    for what, volume in (
        ("native_map", scan.on_scan),
        ("native_random_map", scan.randomised_on_scan),
    ):
        write_volume(folder / f"{name}_{what}.nii.gz", volume, np.float32)
    write_bytes(folder / f"{name}.png", draw_explanation(scan))
    write_json(folder / f"{name}.json", scan.record.model_dump(mode="json"))
