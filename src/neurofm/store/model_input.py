"""From the template grid to the model's grid: cut the box, average to its spacing, z y x order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurofm.errors import ConfigError, ScanError
from neurofm.volumes.grids import model_box, template_grid
from neurofm.volumes.volume import Volume

_PLACE_TOLERANCE_MM = 1e-2


def to_model_order(
    image: Volume, mask: Volume, spacing_mm: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Cut the model's 150x192x192 mm box out of a preprocessed scan, at the model's spacing.

    Args:
        image: (x, y, z) intensities on `template_grid(s)` for some s not coarser than `spacing_mm`.
        mask: (x, y, z) brain mask on the same grid.
        spacing_mm: isotropic spacing of the result.

    Returns:
        image (z, y, x) float32 and mask (z, y, x) bool; at another spacing than the scan's, each
        image voxel is the mean of the volume it covers and is in the mask where half of it is.

    Raises:
        ScanError: image or mask does not lie on the template grid.
        ConfigError: the scan is coarser than `spacing_mm`.
    """
    source_mm = _checked_spacing(image, mask)
    if source_mm > spacing_mm + 1e-6:
        raise ConfigError(
            f"the scans were preprocessed at {source_mm:g} mm, coarser than {spacing_mm:g} mm",
            f"use store.spacing_mm={source_mm:g} or preprocess at {spacing_mm:g} mm",
            "store.spacing_mm",
        )
    box = model_box(source_mm)
    intensities = image.array[box].transpose(2, 1, 0).astype(np.float32, copy=False)
    inside = mask.array[box].transpose(2, 1, 0).astype(np.bool_, copy=False)
    factor = spacing_mm / source_mm
    if abs(factor - 1) < 1e-6:
        return np.ascontiguousarray(intensities), np.ascontiguousarray(inside)
    share = coarsen(inside.astype(np.float32), factor)
    return coarsen(intensities, factor), share >= 0.5 - 1e-5


def from_model_order(array: npt.NDArray[np.generic], spacing_mm: float) -> Volume:
    """A volume of the model's box (z, y, x) as (x, y, z), where it lies in the template's space."""
    affine = template_grid(spacing_mm).affine.copy()
    starts = [part.start for part in model_box(spacing_mm)]
    affine[:3, 3] += spacing_mm * np.array(starts)
    return Volume(np.asfortranarray(array.transpose(2, 1, 0)), affine)


def coarsen(array: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    """Average a volume onto voxels `factor` times as long along every axis, exactly by overlap.

    Args:
        array: (a, b, c) voxels; each axis is a whole number of coarse voxels long.
        factor: coarse voxel length over fine voxel length, 1 or more; need not be whole.

    Returns:
        (a / factor, b / factor, c / factor) float32; the mean over the volume is unchanged.
    """
    result = array
    for axis in range(3):
        weights = _overlap_weights(result.shape[axis], factor)
        result = np.moveaxis(np.tensordot(weights, result, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(result)


def _overlap_weights(fine: int, factor: float) -> npt.NDArray[np.float32]:
    """(coarse, fine) share of each coarse voxel that each fine voxel covers; rows sum to 1."""
    coarse = round(fine / factor)
    starts = np.arange(coarse)[:, None] * factor
    voxels = np.arange(fine)[None, :]
    overlap = np.minimum(starts + factor, voxels + 1) - np.maximum(starts, voxels)
    weights: npt.NDArray[np.float32] = np.clip(overlap / factor, 0, None).astype(np.float32)
    return weights


def _checked_spacing(image: Volume, mask: Volume) -> float:
    spacing_mm = round(image.spacing_mm[0], 6)
    try:
        grid = template_grid(spacing_mm)
    except ConfigError:
        raise _off_grid(f"has a spacing of {spacing_mm:g} mm") from None
    for name, volume in (("image", image), ("mask", mask)):
        if volume.shape != grid.shape:
            raise _off_grid(f"{name} has {volume.shape} voxels, the grid {grid.shape}")
        if not np.allclose(volume.affine, grid.affine, atol=_PLACE_TOLERANCE_MM):
            raise _off_grid(f"{name} lies elsewhere than the grid")
    return spacing_mm


def _off_grid(what: str) -> ScanError:
    return ScanError(
        f"is not on the template grid: {what}", "preprocess the scan with neurofm", kind="grid"
    )
