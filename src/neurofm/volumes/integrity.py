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


def judge_file(
    path: Path,
    *,
    volume_index: int | None = None,
    assume_orientation: Orientation | None = None,
) -> FileReport:
    """Read a scan once from end to end and say whether it can be used.

    The gzip checksum is verified, the header is judged before anything is allocated for it, and
    the voxels are counted while they stream by.

    Args:
        path: a `.nii` or `.nii.gz` file.
        volume_index: which volume of a series counts, from 0; None refuses a series.
        assume_orientation: how the voxels lie where the header does not say; None refuses.

    Raises:
        ScanError: the file is missing, damaged, not one 3D volume, placed nowhere, or empty.
    """
    with open_contents(path) as contents:
        header = read_header(contents, assume_orientation)
        chosen = choose_volume(header, volume_index, path)
        contents.skip(chosen.index * header.volume_bytes)
        tally = Tally()
        block = np.empty(BLOCK_VOXELS, header.dtype)
        left = math.prod(header.shape)
        while left:
            part = block[: min(left, BLOCK_VOXELS)]
            fill_voxels(contents, part)
            tally.add(part)
            left -= part.size
        notes = header.notes + chosen.notes
        notes += read_to_end(contents, header, header.volumes - chosen.index - 1)
        notes += tally.judge(header, path)
        return FileReport(contents.file_bytes, contents.sha256(), notes)


@dataclass(frozen=True)
class ChosenVolume:
    """The volume of a file that counts, from 0, and a note where others were passed over."""

    index: int
    notes: tuple[str, ...]


def choose_volume(header: Header, volume_index: int | None, path: Path) -> ChosenVolume:
    """The volume to take: the only one, or the one that was asked for in a series.

    Raises:
        ScanError: a series and no choice, or a choice that it does not hold.
    """
    if header.volumes == 1:
        return ChosenVolume(0, ())
    if volume_index is None:
        raise ScanError(
            f"4 dimensions {(*header.shape, header.volumes)}, expected 3",
            "choose a volume with --volume N (from 0), and preprocess.volume_index=N in the recipe",
            path, kind="not-3d",
        )  # fmt: skip
    if not 0 <= volume_index < header.volumes:
        raise ScanError(
            f"has no volume {volume_index}: it holds {header.volumes}",
            f"choose 0 to {header.volumes - 1}", path, kind="not-3d",
        )  # fmt: skip
    return ChosenVolume(
        volume_index,
        (f"volume {volume_index} (from 0) of {header.volumes} was taken as asked",),
    )


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
