"""One shard: the images and masks of some scans as two .npy files, and a JSON of their scales."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from neurofm.config.knobs import Section
from neurofm.errors import StoreError
from neurofm.files import atomic_path, fingerprint_of, read_json, write_json
from neurofm.store.quantise import Quantised


class PackedScan(Section):
    """What is needed to read one scan back: value = offset + step * stored."""

    scan_id: str
    offset: float
    step: float
    clipped_voxels: int
    sha256: str


class RefusedScan(Section):
    """A scan that could not be packed, with the reason."""

    scan_id: str
    path: str
    kind: str
    reason: str


class Shard(Section):
    """The scans of one shard in their order; `key` names the sources it was made from."""

    key: str
    scans: tuple[PackedScan, ...]
    refused: tuple[RefusedScan, ...]


class ShardPaths:
    """Where shard `number` of a store keeps images, masks and scales."""

    def __init__(self, folder: Path, number: int) -> None:
        self.images = folder / "shards" / f"{number:05d}-images.npy"
        self.masks = folder / "shards" / f"{number:05d}-masks.npy"
        self.scales = folder / "shards" / f"{number:05d}.json"

    def all(self) -> tuple[Path, Path, Path]:
        """Images, masks and scales."""
        return self.images, self.masks, self.scales


class ArrayFile:
    """Appends equal blocks to a .npy file that was given its full size on disk beforehand."""

    def __init__(self, file: IO[bytes], block: tuple[int, ...], dtype: type, blocks: int) -> None:
        self._file, self._block, self._dtype = file, block, np.dtype(dtype)
        self._written = 0
        header = self._header(blocks)
        size = len(header) + blocks * int(np.prod(block)) * self._dtype.itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        file.write(header)
        self._header_length = len(header)

    def append(self, block: npt.NDArray[np.generic]) -> None:
        """Write the next block, C order."""
        self._file.write(np.ascontiguousarray(block, dtype=self._dtype).data)
        self._written += 1

    def close(self) -> None:
        """Make the header and the length tell how many blocks were written."""
        self._file.truncate(self._file.tell())
        header = self._header(self._written)
        if len(header) != self._header_length:
            raise StoreError("cannot hold this many scans in one shard", "use fewer", "store")
        self._file.seek(0)
        self._file.write(header)

    def _header(self, blocks: int) -> bytes:
        header = {
            "descr": self._dtype.str,
            "fortran_order": False,
            "shape": (blocks, *self._block),
        }
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, header)  # type: ignore[no-untyped-call]
        return buffer.getvalue()


@contextlib.contextmanager
def array_file(path: Path, block: tuple[int, ...], dtype: type, blocks: int) -> Iterator[ArrayFile]:
    """Yield an `ArrayFile` that stands at `path` only once it is whole.

    Raises:
        StoreError: the disk is full.
    """
    with atomic_path(path) as temporary, temporary.open("r+b") as file:
        try:
            array = ArrayFile(file, block, dtype, blocks)
            yield array
            array.close()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(
                    f"cannot be written ({os.strerror(error.errno)})",
                    "free some space; the same command continues",
                    path,
                ) from None
            raise


def packed_mask_bytes(shape: tuple[int, int, int]) -> int:
    """Bytes of one mask: one bit a voxel."""
    return -(-int(np.prod(shape)) // 8)


def scan_checksum(stored: npt.NDArray[np.uint16], bits: npt.NDArray[np.uint8]) -> str:
    """SHA-256 over one scan's stored image and packed mask."""
    digest = hashlib.sha256(np.ascontiguousarray(stored).data)
    digest.update(np.ascontiguousarray(bits).data)
    return digest.hexdigest()


def describe(scan_id: str, image: Quantised, bits: npt.NDArray[np.uint8]) -> PackedScan:
    """The record of one packed scan."""
    return PackedScan(
        scan_id=scan_id,
        offset=image.offset,
        step=image.step,
        clipped_voxels=image.clipped_voxels,
        sha256=scan_checksum(image.stored, bits),
    )


def write_shard(path: Path, shard: Shard) -> None:
    """Write a shard's JSON; written last, it says that images and masks are whole."""
    values = shard.model_dump(mode="json")
    write_json(path, values | {"checksum": fingerprint_of(values)})


def read_shard(path: Path) -> Shard | None:
    """The record of a whole shard, or None where it is absent or damaged."""
    try:
        values = read_json(path)
        checksum = values.pop("checksum")
        shard = Shard.model_validate_json(json.dumps(values), strict=True)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
    return shard if checksum == fingerprint_of(values) else None


def damaged_scans(paths: ShardPaths, shard: Shard) -> list[str] | None:
    """Ids of the scans whose stored bytes are not those that were packed.

    Returns None where the files do not hold the shard's scans at all.
    """
    try:
        images = np.load(paths.images, mmap_mode="r", allow_pickle=False)
        masks = np.load(paths.masks, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, SyntaxError):
        return None
    types = (images.dtype, masks.dtype) == (np.uint16, np.uint8)
    if not types or not len(images) == len(masks) == len(shard.scans):
        return None
    return [
        scan.scan_id
        for row, scan in enumerate(shard.scans)
        if scan_checksum(images[row], masks[row]) != scan.sha256
    ]
