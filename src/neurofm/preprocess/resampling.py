"""Moving voxels between grids: coarsening, cropping, and the one resampling to the template."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.volumes.grids import Grid
from neurofm.volumes.volume import Volume

Matrix = npt.NDArray[np.float64]


def resample(
    volume: Volume, grid: Grid, transform: Matrix, outside: float = 0.0
) -> npt.NDArray[np.float32]:
    """Bring a scan to a grid in template space by one linear interpolation.

    Along axes where the grid is coarser than the scan, the scan is first smoothed as much as
    averaging over one grid voxel would, so that detail is averaged and not skipped.

    Args:
        volume: real-valued scan, any affine.
        grid: where the result lies.
        transform: (4, 4), scan mm -> grid mm.
        outside: the value beyond the scan's field of view.
    """
    to_voxel = np.linalg.inv(transform @ volume.affine) @ grid.affine
    array = _smooth_for(volume, float(np.linalg.norm(grid.affine[:3, 0])))
    return ndimage.affine_transform(  # type: ignore[no-any-return]
        array,
        to_voxel[:3, :3],
        offset=to_voxel[:3, 3],
        output_shape=grid.shape,
        order=1,
        mode="constant",
        cval=outside,
        output=np.float32,
    )


def coarsen(volume: Volume, spacing_mm: float) -> Volume:
    """Reduce a volume to about isotropic voxels along its own axes; finer axes are averaged.

    An axis already as coarse as `spacing_mm` keeps its voxels.
    """
    factors = np.array([max(1.0, spacing_mm / own) for own in volume.spacing_mm])
    if np.all(factors < 1.01):
        return volume
    first = (factors - 1) / 2
    shape = np.maximum(1, np.round(np.array(volume.shape) / factors)).astype(int)
    array = _smooth_for(volume, spacing_mm)
    for axis in range(3):
        array = _interpolated(array, first[axis] + factors[axis] * np.arange(shape[axis]), axis)
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * factors
    affine[:3, 3] = volume.affine[:3, :3] @ first + volume.affine[:3, 3]
    return Volume(np.ascontiguousarray(array), affine)


def refine(coarse: Volume, fine: Volume) -> npt.NDArray[np.float32]:
    """The values of `coarse`, made by `coarsen`, at the voxels of the volume it was made from."""
    to_coarse = np.linalg.inv(coarse.affine) @ fine.affine
    array = coarse.array.astype(np.float32)
    for axis in range(3):
        places = to_coarse[axis, axis] * np.arange(fine.shape[axis]) + to_coarse[axis, 3]
        array = _interpolated(array, places, axis)
    return array


def crop_around(
    mask: npt.NDArray[np.bool_], margin_voxels: tuple[int, int, int]
) -> tuple[slice, slice, slice]:
    """The box (x, y, z slices) that holds every true voxel and a margin, inside the array."""
    x, y, z = (
        _extent(np.asarray(mask.any(axis=tuple({0, 1, 2} - {axis}))), margin_voxels[axis])
        for axis in range(3)
    )
    return x, y, z


def cropped(volume: Volume, box: tuple[slice, slice, slice]) -> Volume:
    """The part of a volume inside a box of slices; its voxels stay where they are in mm."""
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([part.start for part in box])
    return Volume(volume.array[box], affine)


def _smooth_for(volume: Volume, spacing_mm: float) -> npt.NDArray[np.float32]:
    """Smooth by the Gaussian with the variance that averaging over `spacing_mm` adds."""
    array = volume.array.astype(np.float32, copy=False)
    ratios = np.array([spacing_mm / own for own in volume.spacing_mm])
    sigmas = np.sqrt(np.maximum(0.0, ratios**2 - 1) / 12)
    if np.all(sigmas < 0.1):
        return array
    return np.asarray(ndimage.gaussian_filter(array, sigmas, mode="nearest", truncate=3.0))


def _interpolated(
    array: npt.NDArray[np.float32], positions: Matrix, axis: int
) -> npt.NDArray[np.float32]:
    """Linear interpolation along one axis; beyond the ends, the end.

    Plain sums and no matrix product: those give other last digits with other thread counts.
    """
    length = array.shape[axis]
    positions = np.clip(positions, 0, length - 1)
    below = np.minimum(np.floor(positions).astype(int), max(0, length - 2))
    share = (
        (positions - below).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
    )
    above = np.minimum(below + 1, length - 1)
    return np.asarray(array.take(below, axis) * (1 - share) + array.take(above, axis) * share)


def _extent(occupied: npt.NDArray[np.bool_], margin: int) -> slice:
    places = np.flatnonzero(occupied)
    return slice(max(0, int(places[0]) - margin), min(len(occupied), int(places[-1]) + 1 + margin))
