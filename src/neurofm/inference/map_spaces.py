"""A map of the model's box brought to the template's grid, and from there to the scan's voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.files import read_json
from neurofm.preprocess.resampling import resample
from neurofm.store.model_input import from_model_order
from neurofm.volumes.contents import open_contents
from neurofm.volumes.grids import Grid, template_grid
from neurofm.volumes.header import Orientation, read_header
from neurofm.volumes.volume import Volume

Matrix = npt.NDArray[np.float64]


def on_template(found: npt.NDArray[np.float32], spacing_mm: float, brain: Volume) -> Volume:
    """A map on the template's 1 mm grid, 0 outside the brain.

    Args:
        found: (z, y, x) on the model's box.
        spacing_mm: of the box.
        brain: the scan's brain mask in template space, at any spacing.
    """
    grid = template_grid(1.0)
    values = resample(from_model_order(found, spacing_mm), grid, np.eye(4))
    return Volume(np.where(_inside(brain, grid), values, np.float32(0)), grid.affine)


def on_scan(found: Volume, transform: Matrix, raw: Grid) -> Volume:
    """A map of the template's space at the voxels of the raw scan.

    Args:
        found: in template space.
        transform: (4, 4), scan mm -> template mm.
        raw: the scan's own grid.
    """
    to_scan = np.linalg.inv(transform).astype(np.float64)
    return Volume(resample(found, raw, to_scan), raw.affine)


def raw_grid(path: Path, assume_orientation: Orientation | None) -> Grid:
    """Shape and affine of a raw file as they are stored, whichever way its axes run.

    Raises:
        ScanError: the file is gone, or its header cannot be trusted.
    """
    with open_contents(path) as contents:
        header = read_header(contents, assume_orientation)
    return Grid(header.shape, header.affine)


def transform_of(image_path: Path) -> Matrix:
    """The transform of a preprocessed scan, (4, 4) scan mm -> template mm, from its sidecar."""
    name = image_path.name.removesuffix(".nii.gz")
    return np.array(read_json(image_path.with_name(f"{name}.json"))["transform"], dtype=np.float64)


def _inside(brain: Volume, grid: Grid) -> npt.NDArray[np.bool_]:
    """A mask at the voxels of a grid, each by the mask's nearest voxel."""
    to_voxel = np.linalg.inv(brain.affine) @ grid.affine
    found: npt.NDArray[np.uint8] = ndimage.affine_transform(
        brain.array.astype(np.uint8),
        to_voxel[:3, :3],
        offset=to_voxel[:3, 3],
        output_shape=grid.shape,
        order=0,
    )
    return found > 0
