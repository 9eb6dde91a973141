"""Is a scan file whole and believable? One streaming pass, no volume in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurofm.errors import ScanError
from neurofm.volumes.contents import Contents, open_contents
from neurofm.volumes.header import Header, Orientation, read_header
from neurofm.volumes.tally import BLOCK_VOXELS, Tally


@dataclass(frozen=True)
class FileReport:
    """A file that was found whole.

    Attributes:
        bytes: its size on disk.
        sha256: of the file as it is on disk, 64 hex digits.
        notes: what was odd but bearable.
    """

    bytes: int
    sha256: str
    notes: tuple[str, ...]


def judge_file(path: Path, *, assume_orientation: Orientation | None = None) -> FileReport:
    """Read a scan once from end to end and say whether it can be used.

    The gzip checksum is verified, the header is judged before anything is allocated for it, and
    the voxels are counted while they stream by.

    Raises:
        ScanError: the file is missing, damaged, not one 3D volume, placed nowhere, or empty.
    """
    with open_contents(path) as contents:
        header = read_header(contents, assume_orientation)
        require_one_volume(header, path)
        tally = Tally()
        block = np.empty(BLOCK_VOXELS, header.dtype)
        left = math.prod(header.shape)
        while left:
            part = block[: min(left, BLOCK_VOXELS)]
            fill_voxels(contents, part)
            tally.add(part)
            left -= part.size
        notes = header.notes + read_to_end(contents, header)
        notes += tally.judge(header, path)
        return FileReport(contents.file_bytes, contents.sha256(), notes)


def require_one_volume(header: Header, path: Path) -> None:
    """Raise a `ScanError` where the file holds a series of volumes."""
    if header.volumes > 1:
        raise ScanError(
            f"4 dimensions {(*header.shape, header.volumes)}, expected 3",
            "save the volume you want as a file of its own", path, kind="not-3d",
        )  # fmt: skip


def fill_voxels(contents: Contents, target: npt.NDArray[Any]) -> None:
    """Fill a contiguous array with the next voxels, or raise a `ScanError` at an early end."""
    if contents.read_into(target.view(np.uint8).data) < target.nbytes:
        raise ScanError(
            "ends before its last voxel: the file is cut off",
            "copy or download it again", contents.path, kind="truncated",
        )  # fmt: skip


def read_to_end(contents: Contents, header: Header, volumes_left: int = 0) -> tuple[str, ...]:
    """Read past the voxels to the last byte, so that every checksum is checked.

    Args:
        contents: positioned behind the volume that was read.
        header: its header.
        volumes_left: volumes of the series that are still to come.

    Raises:
        ScanError: the rest is damaged, missing, or as long as another volume.
    """
    where, expected = contents.path, volumes_left * header.volume_bytes
    if contents.skip(expected) < expected:
        raise ScanError("ends before its last voxel", "copy it again", where, kind="truncated")
    extra = contents.skip(header.volume_bytes)
    if extra >= header.volume_bytes:
        raise ScanError(
            "holds more voxels than its header says", "write it again", where, kind="header"
        )
    notes = []
    if extra:
        notes.append(f"{extra} bytes follow its last voxel and are ignored")
    if contents.members > 1:
        notes.append(f"its gzip stream is in {contents.members} parts")
    if contents.trailing_bytes:
        notes.append(f"{contents.trailing_bytes} bytes follow its gzip stream and are ignored")
    if contents.compressed != where.name.lower().endswith(".gz"):
        what = "is gzip" if contents.compressed else "is not gzip"
        notes.append(f"{what}, against its name: read by its content")
    return tuple(notes)


def require_unchanged(path: Path, expected_sha256: str | None, found_sha256: str) -> None:
    """Raise a `ScanError` where a file is not the one that was indexed; None expects nothing."""
    if expected_sha256 is not None and expected_sha256 != found_sha256:
        raise ScanError(
            "was changed since it was indexed", "run neurofm index again", path, kind="changed"
        )
