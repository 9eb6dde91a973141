"""NIfTI in and out: read safely to RAS+ and mm, write atomically and reproducibly."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from nibabel.spatialimages import HeaderDataError

from neurofm.errors import ScanError
from neurofm.files import atomic_path
from neurofm.volumes.contents import open_contents
from neurofm.volumes.header import Header, Orientation, read_header
from neurofm.volumes.integrity import (
    choose_volume,
    fill_voxels,
    read_to_end,
    require_unchanged,
)
from neurofm.volumes.tally import BLOCK_VOXELS, Tally
from neurofm.volumes.volume import Volume

_SPACES = {"scanner": 1, "mni152": 4}
_GZIP_LEVEL = 1
_OUTLIER_FACTOR = 1000.0


@dataclass(frozen=True, eq=False)
class ReadVolume:
    """A volume as it came from a file.

    Attributes:
        volume: float32, axes in the closest order to RAS+; an oblique affine stays oblique.
        notes: what was odd but bearable, for the sidecar.
        sha256: of the file that was read.
    """

    volume: Volume
    notes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, eq=False)
class _Stored:
    voxels: npt.NDArray[Any]
    header: Header
    tally: Tally
    notes: tuple[str, ...]
    sha256: str


def read_volume(
    path: Path,
    *,
    volume_index: int | None = None,
    assume_orientation: Orientation | None = None,
    expected_sha256: str | None = None,
) -> ReadVolume:
    """Read one scan, inflating it once, or say in one line why it cannot be used.

    Args:
        path: a `.nii` or `.nii.gz` file.
        volume_index: which volume of a series to take, from 0; None refuses a series, and a file
            of one volume needs no choice.
        assume_orientation: how the voxels lie where the header does not say; None refuses.
        expected_sha256: the indexed checksum; another file is refused.

    Returns:
        Array (x, y, z) in Fortran order, float32, finite; affine in mm.

    Raises:
        ScanError: whatever `judge_file` refuses, or a file other than the indexed one.
    """
    stored = _read_stored(path, volume_index, assume_orientation)
    require_unchanged(path, expected_sha256, stored.sha256)
    notes = stored.notes + stored.tally.judge(stored.header, path)
    values = _as_float32(stored)
    return ReadVolume(_to_ras(values, stored.header), notes + _outlier_note(values), stored.sha256)


def read_mask(path: Path) -> Volume:
    """Read a mask as bool: whole numbers count where not 0, probabilities from 0.5 up.

    Raises:
        ScanError: the file cannot be used, or the mask is empty.
    """
    return read_foreign_mask(path).volume


def read_foreign_mask(path: Path, assume_orientation: Orientation | None = None) -> ReadVolume:
    """Read a mask that another tool made, as `read_mask`, with notes on what had to be decided.

    Args:
        path: a `.nii` or `.nii.gz` file.
        assume_orientation: how the voxels lie where the header does not say; None refuses.

    Raises:
        ScanError: the file cannot be used, or the mask is empty.
    """
    stored = _read_stored(path, None, assume_orientation)
    stored.tally.require_float32(stored.header, path)
    values = _as_float32(stored)
    low, high = float(values.min()), float(values.max())
    notes = stored.notes
    if low >= 0 and high <= 1:
        mask = values >= 0.5
        if not np.array_equal(mask, values):
            notes += ("the mask holds probabilities: 0.5 and more count as inside",)
    else:
        mask = values > 0
        notes += (f"the mask reaches {high:g}: every voxel above 0 counts as inside",)
    if not mask.any():
        raise ScanError("the mask is empty", "make it again", path, kind="empty-mask")
    return ReadVolume(_to_ras(mask, stored.header), notes, stored.sha256)


def read_labels(path: Path) -> Volume:
    """Read a label map as int32.

    Raises:
        ScanError: the file cannot be used, or holds other values than whole numbers.
    """
    stored = _read_stored(path, None, None)
    ends = stored.tally.require_float32(stored.header, path)
    values = _as_float32(stored)
    if max(abs(end) for end in ends) >= 2**31 or not np.array_equal(values, np.rint(values)):
        raise ScanError("is no label map: not all values are whole", "", path, kind="label-map")
    return _to_ras(values.astype(np.int32), stored.header)


def write_volume(
    path: Path,
    volume: Volume,
    dtype: type = np.float32,
    space: Literal["scanner", "mni152"] = "scanner",
) -> None:
    """Write a volume atomically as gzipped NIfTI-1 with a clean header.

    Equal volumes give equal bytes: the gzip header holds no time and no name.

    Args:
        path: ends in `.nii.gz`.
        volume: any real array; bool is written as uint8.
        dtype: voxel type on disk; values are never rounded or clipped to fit.
        space: what the affine leads to; written as the sform and qform codes.

    Raises:
        ScanError: a value is not finite, or does not fit `dtype` exactly where that is whole.
    """
    voxels = _checked_for(volume.array, np.dtype(dtype), path)
    header = _clean_header(volume, voxels.dtype, _SPACES[space])
    deflater = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(deflater.compress(header))
        for z in range(voxels.shape[2]):
            file.write(deflater.compress(voxels[:, :, z].tobytes(order="F")))
        file.write(deflater.flush())


def _read_stored(
    path: Path, volume_index: int | None, assume_orientation: Orientation | None
) -> _Stored:
    with open_contents(path) as contents:
        header = read_header(contents, assume_orientation)
        chosen = choose_volume(header, volume_index, path)
        contents.skip(chosen.index * header.volume_bytes)
        voxels = np.empty(math.prod(header.shape), header.dtype)
        tally = Tally()
        for start in range(0, voxels.size, BLOCK_VOXELS):
            block = voxels[start : start + BLOCK_VOXELS]
            fill_voxels(contents, block)
            tally.add(block)
        notes = header.notes + chosen.notes
        notes += read_to_end(contents, header, header.volumes - chosen.index - 1)
        return _Stored(voxels, header, tally, notes, contents.sha256())


def _as_float32(stored: _Stored) -> npt.NDArray[np.float32]:
    """Scaled values, flat; the product is taken in float64, block by block."""
    raw, header = stored.voxels, stored.header
    with np.errstate(invalid="ignore"):  # NaN voxels, set to 0 below
        if header.slope == 1 and header.intercept == 0:
            values = raw.astype(np.float32, copy=False)
        else:
            values = np.empty(raw.size, np.float32)
            for start in range(0, raw.size, BLOCK_VOXELS):
                part = slice(start, start + BLOCK_VOXELS)
                values[part] = raw[part] * np.float64(header.slope) + header.intercept
    if stored.tally.bad:
        values[~np.isfinite(values)] = 0
    return values


def _to_ras(values: npt.NDArray[Any], header: Header) -> Volume:
    orientation = io_orientation(header.affine)
    array = apply_orientation(values.reshape(header.shape, order="F"), orientation)
    to_stored = inv_ornt_aff(orientation, header.shape)
    return Volume(np.asfortranarray(array), header.affine @ to_stored)


def _outlier_note(values: npt.NDArray[np.float32]) -> tuple[str, ...]:
    sample = values[:: max(1, values.size // 100_000)]
    usual, highest = float(np.percentile(sample, 99.9)), float(values.max())
    if 0 < usual * _OUTLIER_FACTOR < highest:
        return (f"its largest value, {highest:.3g}, is far above the usual {usual:.3g}",)
    return ()


def _checked_for(array: npt.NDArray[Any], dtype: np.dtype[Any], path: Path) -> npt.NDArray[Any]:
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    if not np.all(np.isfinite(array)):
        raise ScanError("a result holds NaN or infinite voxels", "", path, kind="not-finite")
    with np.errstate(invalid="ignore", over="ignore"):
        voxels = array.astype(dtype.newbyteorder("<"), copy=False)
    fits = np.all(np.isfinite(voxels)) if dtype.kind == "f" else np.array_equal(voxels, array)
    if not fits:
        raise ScanError(f"a result does not fit {dtype.name} voxels", "", path, kind="overflow")
    return voxels


def _clean_header(volume: Volume, dtype: np.dtype[Any], code: int) -> bytes:
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(volume.shape)
    header.set_xyzt_units("mm")
    header.set_sform(volume.affine, code=code)
    try:
        header.set_qform(volume.affine, code=code, strip_shears=False)
    except HeaderDataError:
        header.set_zooms(volume.spacing_mm)
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    return bytes(header.binaryblock) + bytes(4)
