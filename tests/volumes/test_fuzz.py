"""Bytes changed at random: a file is read to finite numbers or refused, never anything else."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.volumes.integrity import judge_file
from neurofm.volumes.nifti import read_labels, read_mask, read_volume
from neurofm.volumes.volume import Volume

Nifti = Callable[..., bytes]
LONGEST_S = 2.0
FILES = int(os.environ.get("NEUROFM_FUZZ_FILES", "150"))


def outcome(path: Path) -> str:
    """ "read" or the kind of refusal; both ways of looking must agree, and quickly."""
    started = time.monotonic()
    judged = attempt(path, lambda: judge_file(path).notes)
    read = attempt(path, lambda: finite(read_volume(path).volume))
    assert read == judged
    assert time.monotonic() - started < LONGEST_S
    return read


def attempt(path: Path, look: Callable[[], object]) -> str:
    try:
        look()
    except ScanError as error:
        return f"{error.kind} {error}".replace(str(path), "").splitlines()[0]
    return "read"


def finite(volume: Volume) -> None:
    assert np.isfinite(np.asarray(volume.array)).all()
    assert np.isfinite(volume.affine).all()


def look_at_as_mask(path: Path) -> None:
    attempt(path, lambda: finite(read_mask(path)))
    attempt(path, lambda: finite(read_labels(path)))


def damaged(data: bytes, rng: np.random.Generator, header_only: bool) -> bytes:
    """One to four bytes flipped or overwritten, or the end cut off, or a stretch zeroed."""
    end = min(len(data), 352) if header_only else len(data)
    changed = bytearray(data)
    way = rng.integers(4)
    if way == 0 and not header_only:
        return data[: rng.integers(len(data))]
    if way == 1:
        start = int(rng.integers(end))
        stop = min(end, start + int(rng.integers(1, 64)))
        changed[start:stop] = bytes(stop - start)
        return bytes(changed)
    for place in rng.integers(0, end, rng.integers(1, 5)):
        changed[place] = changed[place] ^ (1 << rng.integers(8)) if way == 2 else rng.integers(256)
    return bytes(changed)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", ["<i2", ">f4"])
def test_a_file_with_random_damage_is_read_or_refused(
    tmp_path: Path, nifti: Nifti, head: Callable[..., np.ndarray], ending: str, kind: str
) -> None:
    rng = np.random.default_rng([len(ending), ord(kind[0])])
    voxels = head((14, 13, 12)).astype(kind[1:])
    spacing = {"pixdim": [1, 9, 9, 9, 0, 0, 0, 0], "sform_code": 0}
    whole = nifti(voxels, order=kind[0], **spacing)
    path = tmp_path / f"scan{ending}"
    outcomes = []
    for number in range(FILES):
        if ending == ".nii":
            data = damaged(whole, rng, header_only=number % 2 == 0)
        elif number % 2:
            data = damaged(gzip.compress(whole, 1), rng, header_only=False)
        else:
            data = gzip.compress(damaged(whole, rng, header_only=True), 1)
        path.write_bytes(data)
        outcomes.append(outcome(path))
        look_at_as_mask(path)
    assert "read" in outcomes
    assert len(set(outcomes)) > 5


@pytest.mark.parametrize(
    ("version", "value"), [(1, 0x00), (1, 0x7F), (1, 0x80), (1, 0xFF), (2, 0x7F)]
)
def test_a_header_with_any_one_byte_overwritten_is_read_or_refused(
    tmp_path: Path, nifti: Nifti, head: Callable[..., np.ndarray], version: int, value: int
) -> None:
    voxels = head((14, 13, 12)).astype(np.float32)
    whole = nifti(voxels, version=version, pixdim=[1, 9, 9, 9, 0, 0, 0, 0], sform_code=0)
    path = tmp_path / "scan.nii"
    for place in range(len(whole) - voxels.nbytes):
        path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
        outcome(path)
