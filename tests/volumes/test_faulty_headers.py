"""Headers that cannot be trusted, and odd ones that can (section 2 of the list of faults)."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.volumes.integrity import judge_file
from neurofm.volumes.nifti import read_volume

Nifti = Callable[..., bytes]
NAN = float("nan")
NO_CODES = {"sform_code": 0, "qform_code": 0}
ZERO_ROWS = {"srow_x": 0, "srow_y": 0, "srow_z": 0}


def vector_image() -> np.ndarray:
    return np.ones((20, 18, 16, 1, 3), np.float32)


@pytest.fixture
def written(tmp_path: Path, nifti: Nifti) -> Callable[..., Path]:
    def write(voxels: np.ndarray | None = None, **changes: Any) -> Path:
        path = tmp_path / "scan.nii.gz"
        path.write_bytes(gzip.compress(nifti(voxels, **changes)))
        return path

    return write


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "too-large", id="25"),
        pytest.param({"dim": [3, 0, 18, 16, 1, 1, 1, 1]}, "header", id="26 zero"),
        pytest.param({"dim": [3, 20, -18, 16, 1, 1, 1, 1]}, "header", id="26 negative"),
        pytest.param({"dim": [0, 20, 18, 16, 1, 1, 1, 1]}, "header", id="27 none"),
        pytest.param({"dim": [9, 20, 18, 16, 1, 1, 1, 1]}, "header", id="27 nine"),
        pytest.param({"voxels": np.ones((20, 18, 16, 20), np.int16)}, "not-3d", id="29 series"),
        pytest.param({"voxels": vector_image()}, "not-3d", id="30 vectors"),
        pytest.param({"voxels": np.ones((20, 18), np.int16)}, "not-3d", id="31 two axes"),
        pytest.param({"voxels": np.ones((20, 18, 1), np.int16)}, "not-3d", id="31 one slice"),
        pytest.param({"datatype": 128, "bitpix": 24}, "voxel-type", id="32 RGB"),
        pytest.param({"voxels": np.ones((20, 18, 16), np.complex64)}, "voxel-type", id="33"),
        pytest.param({"datatype": 0}, "voxel-type", id="34 zero"),
        pytest.param({"datatype": 77}, "voxel-type", id="34 unknown"),
        pytest.param({"vox_offset": 0}, "header", id="36"),
        pytest.param({"vox_offset": 348}, "header", id="36 inside"),
        pytest.param({"vox_offset": 352.5}, "header", id="36 between bytes"),
        pytest.param({"vox_offset": 1e9}, "header", id="37 far"),
        pytest.param({"vox_offset": NAN}, "header", id="37 NaN"),
        pytest.param({"scl_inter": NAN}, "header", id="39"),
        pytest.param({"scl_slope": 1e37}, "overflow", id="40"),
        pytest.param({"srow_x": NAN, "srow_y": NAN, "srow_z": NAN}, "orientation", id="41"),
        pytest.param(ZERO_ROWS | {"qform_code": 0}, "orientation", id="42 no qform"),
        pytest.param(
            ZERO_ROWS | {"quatern_b": 1, "quatern_c": 1}, "orientation", id="42 bad qform"
        ),
        pytest.param(NO_CODES, "orientation", id="43"),
        pytest.param({"srow_x": [-8, 0, 0, 72]}, "orientation", id="44 left is right"),
        pytest.param({"quatern_d": 1}, "orientation", id="44 turned half round"),
        pytest.param({"pixdim": [1, 0, 8, 8, 0, 0, 0, 0]}, "header", id="48 zero"),
        pytest.param({"pixdim": [1, 8, -8, 8, 0, 0, 0, 0]}, "header", id="48 negative"),
        pytest.param({"pixdim": [1, 8, 8, NAN, 0, 0, 0, 0]}, "header", id="48 NaN"),
        pytest.param({"srow_z": [0, 0, 12, 0]}, "spacing", id="49 slices of 12 mm"),
        pytest.param({"xyzt_units": 3}, "spacing", id="50 not micrometres"),
        pytest.param({"srow_z": [0, 0, 4, 0]}, "field-of-view", id="51 a slab"),
        pytest.param({"voxels": np.ones((20, 18, 52), np.int16)}, "field-of-view", id="51 long"),
        pytest.param({"magic": b"ni1"}, "format", id="16 header of a pair"),
        pytest.param({"magic": b""}, "format", id="17 Analyze"),
        pytest.param({"sizeof_hdr": 347}, "format", id="not NIfTI"),
    ],
)
def test_a_header_that_cannot_be_trusted_is_refused(
    written: Callable[..., Path], changes: dict[str, Any], kind: str
) -> None:
    path = written(**changes)
    with pytest.raises(ScanError) as judged:
        judge_file(path)
    with pytest.raises(ScanError) as read:
        read_volume(path)
    assert judged.value.kind == read.value.kind == kind
    assert str(judged.value).startswith(str(path))


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        pytest.param({"bitpix": 8}, "bitpix 8 contradicts", id="35"),
        pytest.param({"scl_slope": NAN, "scl_inter": NAN}, "taken as stored", id="38 NaN"),
        pytest.param({"scl_slope": float("inf")}, "taken as stored", id="38 Inf"),
        pytest.param({"scl_slope": 0}, "taken as stored", id="38 zero"),
        pytest.param(ZERO_ROWS, "the qform is used", id="42"),
        pytest.param({"quatern_b": 0.01}, "sform and qform differ", id="44 small"),
        pytest.param({"srow_x": [8, 0.9, 0, -80]}, "sheared", id="47"),
        pytest.param({"srow_z": [0, 0, 7, -64]}, "scales voxels", id="affine against pixdim"),
        pytest.param({}, "unusual voxel size", id="49 thick slices"),
        pytest.param({"xyzt_units": 0}, "taken as mm", id="50 no unit"),
        pytest.param({"extension": bytes(32)}, "extension of 32 bytes", id="54"),
        pytest.param({"extension": bytes(1 << 20)}, "extension of 1048576 bytes", id="54 huge"),
        pytest.param({"descrip": b"Doe, Jane"}, "(descrip) is kept out", id="55"),
        pytest.param({"aux_file": b"Doe", "db_name": b"X"}, "aux_file, db_name", id="55 more"),
    ],
)
def test_an_odd_header_is_read_and_noted(
    written: Callable[..., Path],
    head: Callable[..., np.ndarray],
    changes: dict[str, Any],
    note: str,
) -> None:
    path = written(**changes)
    read = read_volume(path)
    np.testing.assert_array_equal(read.volume.array, head())
    assert note in "; ".join(read.notes)
    assert note in "; ".join(judge_file(path).notes)
    assert "Doe" not in "; ".join(read.notes)


def test_a_header_of_a_giant_volume_allocates_nothing(written: Callable[..., Path]) -> None:
    path = written(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])  # case 25
    tracemalloc.start()
    with pytest.raises(ScanError, match="claims"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_one_volume_in_four_dimensions_is_read_as_three(
    written: Callable[..., Path], head: Callable[..., np.ndarray]
) -> None:
    read = read_volume(written(head()[..., np.newaxis]))  # case 28
    np.testing.assert_array_equal(read.volume.array, head())
    assert "4 dimensions with one volume: read as 3D" in read.notes


def test_a_chosen_volume_of_a_series_is_read(
    written: Callable[..., Path], head: Callable[..., np.ndarray]
) -> None:
    series = np.stack([head(seed=seed) for seed in range(3)], axis=-1)  # case 29
    path = written(series)
    for index in range(3):
        read = read_volume(path, volume_index=index)
        np.testing.assert_array_equal(read.volume.array, series[..., index])
    with pytest.raises(ScanError, match="has no volume 3"):
        read_volume(path, volume_index=3)


@pytest.mark.parametrize("orientation", ["LAS", "RAS"])
def test_an_orientation_is_assumed_only_when_asked(
    written: Callable[..., Path], head: Callable[..., np.ndarray], orientation: Any
) -> None:
    read = read_volume(written(**NO_CODES), assume_orientation=orientation)  # case 43
    expected = head() if orientation == "RAS" else head()[::-1]
    np.testing.assert_array_equal(read.volume.array, expected)
    assert any(f"{orientation} was assumed" in note for note in read.notes)
    np.testing.assert_allclose(np.diag(read.volume.affine), [8, 8, 8, 1])


def test_lengths_in_metres_and_micrometres_become_mm(written: Callable[..., Path]) -> None:
    for code, factor in ((1, 1e-3), (3, 1e3)):  # case 50
        rows = {
            f"srow_{axis}": np.array([*(8.0 * np.eye(3)[place]), -64]) * factor
            for place, axis in enumerate("xyz")
        }
        spacing = 8 * factor
        path = written(
            xyzt_units=code, pixdim=[1, spacing, spacing, spacing, 0, 0, 0, 0], qform_code=0, **rows
        )
        read = read_volume(path)
        np.testing.assert_allclose(read.volume.spacing_mm, 8, rtol=1e-6)
        np.testing.assert_allclose(read.volume.affine[:3, 3], -64, rtol=1e-6)
        assert any("converted to mm" in note for note in read.notes)


@pytest.mark.parametrize("layout", [("<", 1), (">", 1), ("<", 2), (">", 2)])
@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "f4", "f8", "i1"])
def test_byte_order_version_and_voxel_type_do_not_matter(
    tmp_path: Path,
    nifti: Nifti,
    head: Callable[..., np.ndarray],
    layout: tuple[str, int],
    kind: str,
) -> None:
    voxels = (head() // 10).astype(kind)  # cases 52, 53
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(voxels, order=layout[0], version=layout[1]))
    read = read_volume(path)
    np.testing.assert_array_equal(read.volume.array, voxels)
    assert read.volume.array.dtype == np.float32
    assert read.volume.array.dtype.isnative
    np.testing.assert_array_equal(nib.load(path).get_fdata(), voxels)
