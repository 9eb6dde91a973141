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
from neurofm.volumes.nifti import read_volume, write_volume

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
        pytest.param({"scl_slope": 1e-44}, "constant", id="40 so small that all becomes zero"),
        pytest.param({"scl_inter": 1e30}, "constant", id="40 no contrast left"),
        pytest.param({"srow_x": NAN, "srow_y": NAN, "srow_z": NAN}, "orientation", id="41"),
        pytest.param(ZERO_ROWS | {"qform_code": 0}, "orientation", id="42 no qform"),
        pytest.param(
            ZERO_ROWS | {"quatern_b": 1, "quatern_c": 1}, "orientation", id="42 bad qform"
        ),
        pytest.param(NO_CODES, "orientation", id="43"),
        pytest.param({"srow_x": [8, 0, 0, 1e12]}, "orientation", id="41 out of bounds"),
        pytest.param({"srow_x": [-8, 0, 0, 72]}, "orientation", id="44 left is right"),
        pytest.param({"quatern_d": 1}, "orientation", id="44 turned half round"),
        pytest.param({"pixdim": [1, 0, 8, 8, 0, 0, 0, 0]}, "header", id="48 zero"),
        pytest.param({"pixdim": [1, 8, -8, 8, 0, 0, 0, 0]}, "header", id="48 negative"),
        pytest.param({"pixdim": [1, 8, 8, NAN, 0, 0, 0, 0]}, "header", id="48 NaN"),
        pytest.param({"srow_z": [0, 0, 12, 0]}, "spacing", id="49 slices of 12 mm"),
        pytest.param({"srow_z": [0, 0, 0.05, 0]}, "spacing", id="49 slices of 0.05 mm"),
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
        pytest.param({}, "unusual voxel size: 8 x 8 x 8 mm", id="49 coarse voxels"),
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
    """Case 25."""
    path = written(dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    tracemalloc.start()
    with pytest.raises(ScanError, match="claims"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_one_volume_in_four_dimensions_is_read_as_three(
    written: Callable[..., Path], head: Callable[..., np.ndarray]
) -> None:
    """Case 28."""
    read = read_volume(written(head()[..., np.newaxis]))
    np.testing.assert_array_equal(read.volume.array, head())
    assert "4 dimensions with one volume: read as 3D" in read.notes


def test_a_chosen_volume_of_a_series_is_read_and_noted(
    written: Callable[..., Path], head: Callable[..., np.ndarray]
) -> None:
    """Case 29."""
    series = np.stack([head(seed=seed) for seed in range(3)], axis=-1)
    path = written(series)
    for index in range(3):
        read = read_volume(path, volume_index=index)
        np.testing.assert_array_equal(np.asarray(read.volume.array), series[..., index])
        note = f"volume {index} (from 0) of 3 was taken as asked"
        assert note in read.notes
        assert note in judge_file(path, volume_index=index).notes
    for choice in (3, -1):
        with pytest.raises(ScanError, match=f"has no volume {choice}: it holds 3"):
            read_volume(path, volume_index=choice)


def test_only_the_chosen_volume_of_a_series_is_judged(
    written: Callable[..., Path], head: Callable[..., np.ndarray]
) -> None:
    """Case 29."""
    path = written(np.stack([head(), np.zeros_like(head())], axis=-1))
    assert judge_file(path, volume_index=0).bytes
    with pytest.raises(ScanError, match="every voxel is zero"):
        judge_file(path, volume_index=1)


def test_the_refusal_of_a_series_names_the_option_and_the_recipes_key(
    written: Callable[..., Path],
) -> None:
    """Case 29."""
    with pytest.raises(ScanError, match=r"--volume N .* preprocess.volume_index=N"):
        judge_file(written(np.ones((20, 18, 16, 20), np.int16)))


def test_a_file_of_one_volume_needs_no_choice(
    written: Callable[..., Path], head: Callable[..., np.ndarray]
) -> None:
    """Cases 28, 29: one choice may stand for a folder of series and single volumes."""
    read = read_volume(written(), volume_index=2)
    np.testing.assert_array_equal(np.asarray(read.volume.array), head())


def test_the_refusal_of_no_orientation_names_the_option_and_the_recipes_key(
    written: Callable[..., Path],
) -> None:
    """Case 43."""
    path = written(**NO_CODES)
    with pytest.raises(
        ScanError, match=r"--assume-orientation LAS or RAS, and preprocess.assume_orientation"
    ):
        judge_file(path)
    notes = judge_file(path, assume_orientation="LAS").notes
    assert any("LAS was assumed as asked" in note for note in notes)


@pytest.mark.parametrize("orientation", ["LAS", "RAS"])
def test_an_orientation_is_assumed_only_when_asked(
    written: Callable[..., Path], head: Callable[..., np.ndarray], orientation: Any
) -> None:
    """Case 43."""
    read = read_volume(written(**NO_CODES), assume_orientation=orientation)
    expected = head() if orientation == "RAS" else head()[::-1]
    np.testing.assert_array_equal(read.volume.array, expected)
    assert any(f"{orientation} was assumed" in note for note in read.notes)
    np.testing.assert_allclose(np.diag(read.volume.affine), [8, 8, 8, 1])


def test_lengths_in_metres_and_micrometres_become_mm(written: Callable[..., Path]) -> None:
    """Case 50."""
    for code, factor in ((1, 1e-3), (3, 1e3)):
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
    """Cases 52, 53."""
    voxels = (head() // 10).astype(kind)
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(voxels, order=layout[0], version=layout[1]))
    read = read_volume(path)
    np.testing.assert_array_equal(read.volume.array, voxels)
    assert read.volume.array.dtype == np.float32
    assert read.volume.array.dtype.isnative
    np.testing.assert_array_equal(nib.load(path).get_fdata(), voxels)


@pytest.mark.parametrize(
    ("voxels", "spacing_mm", "note"),
    [
        pytest.param(24, 5.0, "unusual voxel size: 8 x 8 x 5 mm", id="49 slices of 5 mm"),
        pytest.param(480, 0.25, "unusual voxel size: 8 x 8 x 0.25 mm", id="49 finer than 0.3 mm"),
        pytest.param(33, 3.5, None, id="49 usual"),
    ],
)
def test_an_unusual_spacing_is_noted(
    written: Callable[..., Path],
    head: Callable[..., np.ndarray],
    voxels: int,
    spacing_mm: float,
    note: str | None,
) -> None:
    path = written(
        head((20, 18, voxels)),
        pixdim=[1, 8, 8, spacing_mm, 0, 0, 0, 0],
        sform_code=0,
    )
    unusual = [found for found in read_volume(path).notes if "unusual" in found]
    assert (note in unusual) if note else unusual == ["unusual voxel size: 8 x 8 x 3.5 mm"]


@pytest.mark.parametrize(("length", "kind"), [(96, "field-of-view"), (104, None), (392, None),
                                              (408, "field-of-view")])  # fmt: skip
def test_a_field_of_view_that_cannot_be_a_head_is_refused(
    written: Callable[..., Path], head: Callable[..., np.ndarray], length: int, kind: str | None
) -> None:
    """Case 51: 100 to 400 mm along every axis."""
    path = written(head((20, 18, length // 8)))
    if kind is None:
        assert read_volume(path).volume.shape == (20, 18, length // 8)
        return
    with pytest.raises(ScanError, match=f"x {length} mm, which cannot be a head") as caught:
        judge_file(path)
    assert caught.value.kind == kind


def test_a_length_converted_from_micrometres_is_judged_in_mm(written: Callable[..., Path]) -> None:
    """Cases 49, 50: 8 micrometres are no voxel of a head."""
    with pytest.raises(ScanError, match=r"0\.008 x 0\.008 x 0\.008 mm"):
        read_volume(written(xyzt_units=3))


def test_text_about_the_patient_reaches_no_output(
    tmp_path: Path, written: Callable[..., Path]
) -> None:
    """Cases 54, 55: every free text of the header, the extension and the gzip header."""
    text = dict.fromkeys(("descrip", "aux_file", "intent_name", "db_name"), b"DOE^JANE")
    path = written(data_type=b"DOE^JANE", extension=b"\x20\0\0\0\x06\0\0\0DOE^JANE" * 2, **text)
    with gzip.GzipFile(tmp_path / "DOE^JANE.nii.gz", "wb") as file:
        file.write(gzip.decompress(path.read_bytes()))
    read = read_volume(tmp_path / "DOE^JANE.nii.gz")
    output = tmp_path / "output.nii.gz"
    write_volume(output, read.volume)
    assert b"DOE" not in output.read_bytes() + gzip.decompress(output.read_bytes())
    assert "DOE" not in "; ".join(read.notes)
    assert "free text in the header" in "; ".join(read.notes)
    assert "header extension" in "; ".join(read.notes)
