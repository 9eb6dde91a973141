"""What a NIfTI header says, judged from its raw bytes before anything is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import nibabel as nib
import numpy as np
import numpy.typing as npt

from neurofm.errors import ScanError
from neurofm.volumes.contents import DEFLATE_LIMIT, Contents
from neurofm.volumes.formats import FROM_ANALYZE, refuse_foreign_format
from neurofm.volumes.placement import affine_of

Orientation = Literal["LAS", "RAS"]

# 0.3 mm over a whole head is about 400 million voxels; the largest file is a long 4-D series.
_MAX_VOXELS = 1 << 29
_MAX_DATA_BYTES = 1 << 36
_MAX_EXTENSION_BYTES = 1 << 26
# A file this large does not shrink this much unless it is nearly empty.
_BOMB_BYTES = 1 << 28
_BOMB_RATIO = 200
_DTYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1",
    512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_REFUSED_DTYPES = {
    0: "an unknown voxel type",
    1: "binary (1-bit) voxels",
    32: "complex voxels",
    128: "RGB voxels",
    1536: "128-bit voxels",
    1792: "complex voxels",
    2048: "complex voxels",
    2304: "RGBA voxels",
}
_FREE_TEXT = ("descrip", "aux_file", "intent_name", "db_name", "data_type")


@dataclass(frozen=True, eq=False)
class Header:
    """A header that was found sound.

    Attributes:
        shape: voxels (x, y, z) as stored.
        volumes: 3D volumes in the file.
        dtype: voxel type as stored, byte order included.
        offset: first byte of the voxels.
        slope, intercept: value = slope * stored + intercept.
        affine: (4, 4) stored voxel index -> mm, RAS+.
        notes: what was odd but bearable.
    """

    shape: tuple[int, int, int]
    volumes: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: npt.NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def volume_bytes(self) -> int:
        """Bytes of one 3D volume as stored."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(contents: Contents, assume_orientation: Orientation | None = None) -> Header:
    """Read and judge the header, and pass over its extensions up to the first voxel.

    Args:
        contents: an opened file, at its start.
        assume_orientation: how the voxels lie where the header does not say; None refuses.

    Raises:
        ScanError: not NIfTI, or a header that cannot be trusted; nothing was allocated for it.
    """
    fields, consumed = read_fields(contents)
    where = contents.path
    notes: list[str] = []
    shape, volumes = _shape(fields, notes, where)
    dtype = _dtype(fields, notes, where)
    offset = _offset(fields, consumed, notes, where)
    data_bytes = math.prod(shape) * volumes * dtype.itemsize
    _require_plausible_size(shape, data_bytes, offset, contents)
    slope, intercept = _scaling(fields, notes, where)
    with np.errstate(invalid="ignore"):  # a NaN that signals; what is not finite is refused
        affine = affine_of(fields, shape, assume_orientation, notes, where)
    written = free_text_in(fields)
    if written:
        notes.append(f"free text in the header ({', '.join(written)}) is kept out of all outputs")
    header = Header(shape, volumes, dtype, offset, slope, intercept, affine, tuple(notes))
    if contents.skip(offset - consumed) < offset - consumed:
        raise ScanError("holds a header but no voxels", "copy it again", where, kind="truncated")
    return header


def voxel_type_name(code: int) -> str:
    """A voxel type in words: "int16", "complex voxels", "the unknown voxel type 77"."""
    if code in _DTYPES:
        return np.dtype(_DTYPES[code]).name
    return _REFUSED_DTYPES.get(code, f"the unknown voxel type {code}")


def free_text_in(fields: np.void) -> list[str]:
    """Names of the header's fields of free text that hold any; the text itself stays unread."""
    present = [name for name in _FREE_TEXT if name in (fields.dtype.names or ())]
    return [name for name in present if bytes(fields[name]).strip(b"\0 ")]


def read_fields(contents: Contents) -> tuple[np.void, int]:
    """The raw header as a NumPy record, and its bytes; nothing in it is judged but its form.

    Raises:
        ScanError: not NIfTI, or cut off inside the header.
    """
    first = contents.read(nib.nifti1.header_dtype.itemsize)
    refuse_foreign_format(first, contents.path)
    for order in ("<", ">"):
        size = int.from_bytes(first[:4], "little" if order == "<" else "big")
        if size == nib.nifti1.header_dtype.itemsize:
            layout = nib.nifti1.header_dtype.newbyteorder(order)
        elif size == nib.nifti2.header_dtype.itemsize:
            layout = nib.nifti2.header_dtype.newbyteorder(order)
            first += contents.read(size - len(first))
        else:
            continue
        if len(first) < size:
            raise ScanError("ends inside its header", "copy it again", contents.path, "truncated")
        fields = np.frombuffer(first, layout)[0]
        _require_single_file(bytes(fields["magic"]), contents)
        return fields, size
    if len(first) < nib.nifti1.header_dtype.itemsize:
        raise ScanError("is too short to be NIfTI", "copy it again", contents.path, "truncated")
    raise ScanError(
        "is not NIfTI", "NIfTI (.nii or .nii.gz) is read; convert it", contents.path, kind="format"
    )


def _require_single_file(magic: bytes, contents: Contents) -> None:
    if magic[:3] in (b"n+1", b"n+2"):
        return
    if magic[:3] in (b"ni1", b"ni2"):
        what = "is the header half of a .hdr/.img pair"
    else:
        what = "is Analyze 7.5 or has a damaged header; it does not say where left and right are"
    raise ScanError(what, FROM_ANALYZE, contents.path, kind="format")


def _shape(fields: np.void, notes: list[str], where: object) -> tuple[tuple[int, int, int], int]:
    dims = [int(value) for value in fields["dim"]]
    count, sizes = dims[0], dims[1:]
    place = str(where)
    if not 1 <= count <= 7:
        raise ScanError(f"its header gives {count} dimensions", "", place, kind="header")
    sizes = sizes[:count]
    if min(sizes) < 1:
        raise ScanError(f"its header gives the shape {tuple(sizes)}", "", place, kind="header")
    if count < 3 or min(sizes[:3]) == 1:
        raise ScanError(f"has the shape {tuple(sizes)}: not a 3D image", "", place, kind="not-3d")
    if math.prod(sizes[4:]) > 1:
        raise ScanError(
            f"{count} dimensions {tuple(sizes)}, expected 3: a vector or tensor image",
            "", place, kind="not-3d",
        )  # fmt: skip
    if count > 3 and math.prod(sizes[3:]) == 1:
        notes.append(f"{count} dimensions with one volume: read as 3D")
    volumes = sizes[3] if count > 3 else 1
    return (sizes[0], sizes[1], sizes[2]), volumes


def _dtype(fields: np.void, notes: list[str], where: object) -> np.dtype[Any]:
    code = int(fields["datatype"])
    if code not in _DTYPES:
        what = voxel_type_name(code)
        raise ScanError(f"has {what}", "save it with real numbers", str(where), kind="voxel-type")
    dtype = np.dtype(_DTYPES[code]).newbyteorder(fields.dtype["dim"].base.byteorder)
    if int(fields["bitpix"]) != 8 * dtype.itemsize:
        notes.append(f"bitpix {int(fields['bitpix'])} contradicts voxel type {dtype.name}")
    return dtype


def _offset(fields: np.void, consumed: int, notes: list[str], where: object) -> int:
    offset = float(fields["vox_offset"])
    if not math.isfinite(offset) or offset != int(offset) or offset < consumed + 4:
        raise ScanError(
            f"its voxels are said to start at byte {offset:g}, inside the header",
            "write it again with a sound tool", str(where), kind="header",
        )  # fmt: skip
    extension = int(offset) - consumed - 4
    if extension > _MAX_EXTENSION_BYTES:
        raise ScanError(
            f"its voxels are said to start at byte {offset:g}", "", str(where), kind="header"
        )
    if extension >= 16:
        notes.append(f"a header extension of {extension} bytes is kept out of all outputs")
    return int(offset)


def _scaling(fields: np.void, notes: list[str], where: object) -> tuple[float, float]:
    slope, intercept = float(fields["scl_slope"]), float(fields["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        notes.append(f"scl_slope is {slope:g}: voxels are taken as stored")
        return 1.0, 0.0
    if not math.isfinite(intercept):
        raise ScanError(f"scl_inter is {intercept:g}", "", str(where), kind="header")
    return slope, intercept


def _require_plausible_size(
    shape: tuple[int, int, int], data_bytes: int, offset: int, contents: Contents
) -> None:
    where, on_disk = contents.path, contents.file_bytes
    if math.prod(shape) > _MAX_VOXELS or data_bytes > _MAX_DATA_BYTES:
        raise ScanError(
            f"its header claims {shape} voxels, more than a head needs",
            "look at the original image", where, kind="too-large",
        )  # fmt: skip
    if contents.compressed and data_bytes > max(_BOMB_BYTES, _BOMB_RATIO * on_disk):
        raise ScanError(
            f"{on_disk} bytes claim to inflate to {data_bytes}",
            "look at the original image", where, kind="too-large",
        )  # fmt: skip
    if offset + data_bytes > on_disk * (DEFLATE_LIMIT if contents.compressed else 1):
        raise ScanError(
            f"its header claims {data_bytes} bytes of voxels, the file cannot hold them",
            "copy or download it again", where, kind="truncated",
        )  # fmt: skip
