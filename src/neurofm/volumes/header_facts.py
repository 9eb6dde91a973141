"""What a header says, right or wrong, for a person to read: nothing is refused for its values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurofm.errors import ScanError
from neurofm.volumes.contents import open_contents
from neurofm.volumes.header import free_text_in, read_fields, voxel_type_name
from neurofm.volumes.placement import MM_PER_UNIT, qform_of, sform_of

_UNITS = {1: "m", 2: "mm", 3: "\u00b5m"}


@dataclass(frozen=True, eq=False)
class HeaderFacts:
    """A NIfTI header as it is written; any value may be nonsense.

    Attributes:
        file_bytes: size of the file on disk.
        compressed: whether it is gzip.
        form: "NIfTI-1" or "NIfTI-2".
        big_endian: whether numbers are stored big end first.
        dimensions: as many as the header counts.
        spacing_mm: the three stated voxel sizes.
        unit: "mm", "m", "\u00b5m" or "unknown".
        voxel_type: in words, e.g. "int16".
        slope, intercept: as written; a slope of 0 or NaN means none.
        sform_code, qform_code: 0 says that the matrix means nothing.
        sform, qform: (4, 4) stored voxel index -> mm, or None where unusable or code 0.
        text_fields: names of the fields that hold free text.
        extension_bytes: bytes between header and voxels.
    """

    file_bytes: int
    compressed: bool
    form: str
    big_endian: bool
    dimensions: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    unit: str
    voxel_type: str
    slope: float
    intercept: float
    sform_code: int
    qform_code: int
    sform: npt.NDArray[np.float64] | None
    qform: npt.NDArray[np.float64] | None
    text_fields: tuple[str, ...]
    extension_bytes: int


def read_header_facts(path: Path) -> HeaderFacts:
    """Read the header of a scan and nothing else.

    Raises:
        ScanError: there is no such file, or it does not begin as NIfTI.
    """
    with open_contents(path) as contents:
        fields, consumed = read_fields(contents)
        compressed, file_bytes = contents.compressed, contents.file_bytes
    dims = [int(value) for value in fields["dim"]]
    unit = int(fields["xyzt_units"]) & 7
    offset = float(fields["vox_offset"])
    sform_code, qform_code = int(fields["sform_code"]), int(fields["qform_code"])
    with np.errstate(invalid="ignore", over="ignore"):
        spacing = fields["pixdim"][1:4].astype(np.float64) * MM_PER_UNIT.get(unit, 1.0)
        sform = _in_mm(_sform(fields) if sform_code > 0 else None, unit)
        qform = _in_mm(qform_of(fields) if qform_code > 0 else None, unit)
    return HeaderFacts(
        file_bytes=file_bytes,
        compressed=compressed,
        form="NIfTI-2" if consumed > 348 else "NIfTI-1",
        big_endian=fields.dtype["dim"].base.newbyteorder("=") != fields.dtype["dim"].base,
        dimensions=tuple(dims[1 : 1 + min(7, max(0, dims[0]))]),
        spacing_mm=tuple(float(value) for value in spacing),
        unit=_UNITS.get(unit, "unknown"),
        voxel_type=voxel_type_name(int(fields["datatype"])),
        slope=float(fields["scl_slope"]),
        intercept=float(fields["scl_inter"]),
        sform_code=sform_code,
        qform_code=qform_code,
        sform=sform,
        qform=qform,
        text_fields=tuple(free_text_in(fields)),
        extension_bytes=max(0, int(offset) - consumed - 4) if abs(offset) < 2**53 else 0,
    )


def _sform(fields: np.void) -> npt.NDArray[np.float64] | None:
    try:
        return sform_of(fields, "")
    except ScanError:
        return None


def _in_mm(affine: npt.NDArray[np.float64] | None, unit: int) -> npt.NDArray[np.float64] | None:
    if affine is None:
        return None
    return np.diag([*[MM_PER_UNIT.get(unit, 1.0)] * 3, 1.0]) @ affine
