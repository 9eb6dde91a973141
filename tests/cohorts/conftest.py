"""Writes tiny scans for the cohort tests: each name gives another file."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

WriteScan = Callable[..., Path]


@pytest.fixture
def write_scan(tmp_path: Path) -> WriteScan:
    """Write a small sound scan below the test's folder; equal `content` gives equal files."""

    def write(name: str, content: str | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(zlib.crc32((content or name).encode()))
        voxels = rng.integers(1, 900, (14, 14, 14)).astype(np.int16)
        voxels[0] = 0
        image = nib.Nifti1Image(voxels, np.diag([8.0, 8, 8, 1]))
        image.header.set_xyzt_units("mm")
        nib.save(image, path)
        return path

    return write
