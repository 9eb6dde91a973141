"""Reading to RAS+ and writing back, against nibabel and against places in the head."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.volumes.nifti import (
    read_foreign_mask,
    read_labels,
    read_mask,
    read_volume,
    write_volume,
)
from neurofm.volumes.volume import Volume

Head = Callable[..., np.ndarray]
ORIENTATIONS = [
    np.diag(signs)[list(order)]
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def placed(rotation: np.ndarray, shape: tuple[int, ...], spacing_mm: float = 8.0) -> np.ndarray:
    """The affine that turns the voxels about the middle of the volume, which lies at 0."""
    affine = np.eye(4)
    affine[:3, :3] = rotation * spacing_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def saved(path: Path, voxels: np.ndarray, affine: np.ndarray) -> Path:
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


def value_at(volume: Volume, place_mm: np.ndarray) -> float:
    voxel = np.linalg.inv(volume.affine) @ [*place_mm, 1]
    return float(volume.array[tuple(np.rint(voxel[:3]).astype(int))])


@pytest.mark.parametrize("rotation", ORIENTATIONS, ids=range(48))
def test_each_voxel_stays_at_its_place_in_all_48_orientations(
    tmp_path: Path, head: Head, rotation: np.ndarray
) -> None:
    """Case 45."""
    voxels, affine = head(), placed(rotation, (20, 18, 16))
    volume = read_volume(saved(tmp_path / "scan.nii", voxels, affine)).volume
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    np.testing.assert_allclose(np.diag(volume.affine), [8, 8, 8, 1], atol=1e-4)
    for voxel in np.random.default_rng(0).integers(0, (20, 18, 16), (50, 3)):
        place = (affine @ [*voxel, 1])[:3]
        assert value_at(volume, place) == voxels[tuple(voxel)]


def test_one_head_stored_in_48_orientations_is_read_to_one_array(
    tmp_path: Path, head: Head
) -> None:
    """Case 45."""
    expected, spacing = head(), np.array([8.0, 7.0, 9.0])
    in_ras = np.diag([*spacing, 1])
    in_ras[:3, 3] = -spacing * (np.array(expected.shape) - 1) / 2
    for rotation in ORIENTATIONS:
        stored = nib.orientations.apply_orientation(
            expected, nib.orientations.io_orientation(np.vstack([
                np.column_stack([rotation, np.zeros(3)]), [0, 0, 0, 1]])).astype(int),
        )  # fmt: skip
        moved = nib.orientations.inv_ornt_aff(
            nib.orientations.io_orientation(np.vstack([
                np.column_stack([rotation, np.zeros(3)]), [0, 0, 0, 1]])), expected.shape,
        )  # fmt: skip
        volume = read_volume(saved(tmp_path / "scan.nii", stored, in_ras @ moved)).volume
        np.testing.assert_array_equal(np.asarray(volume.array), expected)
        np.testing.assert_allclose(volume.affine, in_ras, atol=1e-4)


@pytest.mark.parametrize("degrees", [10, 30, 44, 46])
def test_an_oblique_scan_keeps_its_rotation(tmp_path: Path, head: Head, degrees: float) -> None:
    """Case 46."""
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    voxels, affine = head(), placed(turn, (20, 18, 16))
    path = saved(tmp_path / "scan.nii", voxels, affine)
    volume = read_volume(path).volume
    expected = nib.as_closest_canonical(nib.load(path))
    np.testing.assert_array_equal(volume.array, expected.get_fdata())
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-6)
    assert value_at(volume, (affine @ [3, 4, 5, 1])[:3]) == voxels[3, 4, 5]


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = Volume(
        rng.normal(0, 50, (22, 20, 18)).astype(np.float32), placed(np.eye(3), (22, 20, 18), 7)
    )
    path = tmp_path / "new folder" / "scan.nii.gz"
    write_volume(path, volume)
    read = read_volume(path).volume
    np.testing.assert_array_equal(read.array, volume.array)
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-5)
    by_nibabel = nib.load(path)
    np.testing.assert_array_equal(by_nibabel.get_fdata(), volume.array)
    assert by_nibabel.get_data_dtype() == np.float32
    assert int(by_nibabel.header["sform_code"]) == int(by_nibabel.header["qform_code"]) == 1


def test_a_template_space_is_written_into_both_codes(tmp_path: Path, head: Head) -> None:
    path = tmp_path / "scan.nii.gz"
    write_volume(path, Volume(head(), placed(np.eye(3), (20, 18, 16))), space="mni152")
    header = nib.load(path).header
    assert int(header["sform_code"]) == int(header["qform_code"]) == 4


def test_equal_volumes_give_equal_bytes_whatever_their_memory_order(
    tmp_path: Path, head: Head
) -> None:
    affine = placed(np.eye(3), (20, 18, 16))
    write_volume(tmp_path / "a.nii.gz", Volume(np.ascontiguousarray(head()), affine))
    write_volume(tmp_path / "b.nii.gz", Volume(np.asfortranarray(head().astype(float)), affine))
    first = (tmp_path / "a.nii.gz").read_bytes()
    assert first == (tmp_path / "b.nii.gz").read_bytes()
    assert first[4:8] == bytes(4)
    assert not gzip.decompress(first)[148:252].strip(b"\0")


def test_values_that_do_not_fit_are_never_rounded_clipped_or_zeroed(tmp_path: Path) -> None:
    """Case 74."""
    affine, path = placed(np.eye(3), (20, 18, 16)), tmp_path / "scan.nii.gz"
    for value, dtype in ((0.5, np.int16), (40000, np.int16), (-1, np.uint8), (1e39, np.float32)):
        with pytest.raises(ScanError, match="does not fit"):
            write_volume(path, Volume(np.full((20, 18, 16), value), affine), dtype)
    with pytest.raises(ScanError, match="NaN"):
        write_volume(path, Volume(np.full((20, 18, 16), np.nan), affine))
    assert list(tmp_path.iterdir()) == []


def test_a_sheared_affine_survives_writing(tmp_path: Path, head: Head) -> None:
    affine = placed(np.array([[1, 0.1, 0], [0, 1, 0], [0, 0, 1.0]]), (20, 18, 16))
    path = tmp_path / "scan.nii.gz"
    write_volume(path, Volume(head(), affine))
    np.testing.assert_allclose(read_volume(path).volume.affine, affine, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 255, 40])
def test_a_mask_of_any_whole_number_is_read_as_truth(
    tmp_path: Path, head: Head, scale: int
) -> None:
    """Case 71."""
    mask = head() > 100
    path = tmp_path / "mask.nii.gz"
    write_volume(path, Volume(mask * scale, placed(np.eye(3), mask.shape)), np.uint8)
    read = read_mask(path)
    np.testing.assert_array_equal(read.array, mask)
    assert read.array.dtype == bool


def test_probabilities_become_a_mask_at_one_half(tmp_path: Path) -> None:
    chance = np.random.default_rng(0).random((20, 18, 16)).astype(np.float32)
    path = tmp_path / "mask.nii.gz"
    write_volume(path, Volume(chance, placed(np.eye(3), chance.shape)))
    np.testing.assert_array_equal(read_mask(path).array, chance >= 0.5)


@pytest.mark.parametrize(
    ("voxels", "note"),
    [
        (lambda m: m * np.uint8(255), "the mask reaches 255: every voxel above 0"),
        (lambda m: m * np.float32(0.9), "the mask holds probabilities: 0.5 and more"),
        (lambda m: m.astype(np.uint8), None),
    ],
    ids=["71 0 and 255", "71 probabilities", "71 nothing to decide"],
)
def test_what_was_decided_about_a_foreign_mask_is_noted(
    tmp_path: Path, head: Head, voxels: Callable[[np.ndarray], np.ndarray], note: str | None
) -> None:
    inside = head() > 100
    path = saved(tmp_path / "mask.nii.gz", voxels(inside), placed(np.eye(3), inside.shape))
    read = read_foreign_mask(path)
    np.testing.assert_array_equal(read.volume.array, inside)
    found = [found for found in read.notes if "the mask" in found]
    assert (len(found) == 1 and found[0].startswith(note)) if note else found == []


def test_a_mask_beyond_float32_is_refused(tmp_path: Path, head: Head) -> None:
    """Case 40, for masks and labels."""
    path = saved(tmp_path / "m.nii.gz", head() * 1e300, placed(np.eye(3), head().shape))
    for read in (read_mask, read_labels):
        with pytest.raises(ScanError, match="too large for float32"):
            read(path)


def test_an_empty_mask_is_refused(tmp_path: Path) -> None:
    """Case 69."""
    path = tmp_path / "mask.nii.gz"
    write_volume(path, Volume(np.zeros((20, 18, 16), bool), placed(np.eye(3), (20, 18, 16))))
    with pytest.raises(ScanError, match="the mask is empty"):
        read_mask(path)


def test_labels_are_read_as_whole_numbers_in_ras(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 4, (20, 18, 16)).astype(np.uint8)
    affine = placed(np.diag([-1, 1, 1]), labels.shape)
    path = saved(tmp_path / "labels.nii.gz", labels, affine)
    read = read_labels(path)
    np.testing.assert_array_equal(read.array, labels[::-1])
    assert read.array.dtype == np.int32
    write_volume(path, Volume(labels / 3, affine))
    with pytest.raises(ScanError, match="no label map"):
        read_labels(path)


@pytest.mark.slow
def test_real_scans_are_read_as_nibabel_reads_them(shared: Path) -> None:
    for path in sorted(shared.glob("scans/*/**/*[0-9]-T1.nii.gz")) + sorted(
        shared.glob("scans/studyforrest/*.nii.gz")
    ):
        volume = read_volume(path).volume
        expected = nib.as_closest_canonical(nib.load(path))
        np.testing.assert_array_equal(volume.array, expected.get_fdata(dtype=np.float32))
        np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-4)
