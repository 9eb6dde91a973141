"""Builds NIfTI files byte by byte, so that every field can be made wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nibabel as nib
import numpy as np
import pytest

SHAPE = (20, 18, 16)
SPACING_MM = 8.0
CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "c8": 32}


def head_like(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    """A noisy bright block on a dark background, int16."""
    rng = np.random.default_rng(seed)
    voxels = rng.integers(0, 20, shape)
    inner = tuple(slice(2, -2) for _ in shape[:3])
    voxels[inner] += rng.integers(200, 900, voxels[inner].shape)
    voxels[0, 0, 0] = 0
    return voxels.astype(np.int16)


def build_nifti(
    voxels: np.ndarray | None = None,
    *,
    order: str = "<",
    version: int = 1,
    extension: bytes = b"",
    data: bytes | None = None,
    **fields: Any,
) -> bytes:
    """An uncompressed file; `fields` overrules header fields, `data` the voxel bytes."""
    voxels = head_like() if voxels is None else voxels
    module = nib.nifti1 if version == 1 else nib.nifti2
    header = np.zeros((), module.header_dtype.newbyteorder(order))
    size = header.dtype.itemsize
    kind = voxels.dtype.kind + str(voxels.dtype.itemsize)
    dim = [voxels.ndim, *voxels.shape] + [1] * (7 - voxels.ndim)
    affine = np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0])
    affine[:3, 3] = [-80, -72, -64]
    values = {
        "sizeof_hdr": size, "dim": dim, "datatype": CODES[kind],
        "bitpix": 8 * voxels.dtype.itemsize, "pixdim": [1] + [SPACING_MM] * 3 + [0] * 4,
        "vox_offset": size + 4 + len(extension), "scl_slope": 1, "xyzt_units": 2,
        "magic": b"n+1" if version == 1 else b"n+2\0\r\n\x1a\n",
        "qform_code": 1, "sform_code": 1,
        "qoffset_x": -80, "qoffset_y": -72, "qoffset_z": -64,
        "srow_x": affine[0], "srow_y": affine[1], "srow_z": affine[2],
    }  # fmt: skip
    for name, value in (values | fields).items():
        header[name] = value
    if data is None:
        data = voxels.astype(voxels.dtype.newbyteorder(order)).tobytes(order="F")
    flag = b"\x01\0\0\0" if extension else bytes(4)
    return header.tobytes() + flag + extension + data


@pytest.fixture(scope="session")
def nifti() -> Callable[..., bytes]:
    """`build_nifti`, given to tests."""
    return build_nifti


@pytest.fixture(scope="session")
def head() -> Callable[..., np.ndarray]:
    """`head_like`, given to tests."""
    return head_like
