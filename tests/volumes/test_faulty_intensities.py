"""Voxels that cannot be a T1 scan, and odd ones that can (section 3 of the list of faults)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.volumes.integrity import judge_file
from neurofm.volumes.nifti import read_volume
from neurofm.volumes.tally import BLOCK_VOXELS

NAN, INF = np.float32(np.nan), np.float32(np.inf)
Head = Callable[..., np.ndarray]


def with_bad_voxels(voxels: np.ndarray, count: int, value: np.floating) -> np.ndarray:
    bad = voxels.astype(np.float32)
    bad.reshape(-1)[100 : 100 + count] = value
    return bad


def label_map(shape: tuple[int, ...]) -> np.ndarray:
    x, y, z = np.indices(shape)
    return ((x // 5 + 1) * 10 + (y // 6) * 3 + z // 5).astype(np.int16) * ((x > 1) & (y > 1))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param(np.zeros_like, "constant", id="56 zeros"),
        pytest.param(lambda v: np.full_like(v, 7), "constant", id="57 constant"),
        pytest.param(lambda v: with_bad_voxels(v, 100, NAN), "not-finite", id="58 many NaN"),
        pytest.param(lambda v: with_bad_voxels(v, v.size - 100, NAN), "not-finite", id="59"),
        pytest.param(lambda v: np.full(v.shape, NAN, np.float32), "not-finite", id="59 all"),
        pytest.param(lambda v: with_bad_voxels(v, 100, INF), "not-finite", id="60"),
        pytest.param(lambda v: v * (np.arange(v.size).reshape(v.shape) == 9), "constant", id="one"),
        pytest.param(lambda v: (v > 100).astype(np.uint8), "label-map", id="64 mask"),
        pytest.param(lambda v: (v > 100).astype(np.float32), "label-map", id="64 float mask"),
        pytest.param(lambda v: (v > 100).astype(np.uint8) * 255, "label-map", id="64 0 and 255"),
        pytest.param(lambda v: label_map(v.shape).astype(np.int16), "label-map", id="64 labels"),
    ],
)
def test_voxels_that_cannot_be_a_scan_are_refused(
    tmp_path: Path,
    nifti: Callable[..., bytes],
    head: Head,
    change: Callable[[np.ndarray], np.ndarray],
    kind: str,
) -> None:
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(change(head())))
    for look in (judge_file, read_volume):
        with pytest.raises(ScanError) as caught:
            look(path)
        assert caught.value.kind == kind


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_bad_voxel_is_set_to_zero_and_counted(
    tmp_path: Path, nifti: Callable[..., bytes], head: Head, value: np.floating
) -> None:
    """Cases 58, 60."""
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(with_bad_voxels(head(), 1, value)))
    read = read_volume(path)
    assert "1 NaN or infinite voxels were set to 0" in read.notes
    expected = np.where(np.isfinite(with_bad_voxels(head(), 1, value)), head(), 0)
    np.testing.assert_array_equal(np.asarray(read.volume.array), expected)


@pytest.mark.parametrize("value", [NAN, INF])
def test_one_in_a_thousand_voxels_may_be_bad_and_no_more(
    tmp_path: Path, nifti: Callable[..., bytes], head: Head, value: np.floating
) -> None:
    """Cases 58, 60."""
    path = tmp_path / "scan.nii"
    allowed = head().size // 1000
    path.write_bytes(nifti(with_bad_voxels(head(), allowed, value)))
    assert f"{allowed} NaN or infinite voxels were set to 0" in read_volume(path).notes
    path.write_bytes(nifti(with_bad_voxels(head(), allowed + 1, value)))
    with pytest.raises(ScanError, match="are NaN or infinite"):
        judge_file(path)


def test_negative_values_and_an_outlier_are_noted(
    tmp_path: Path, nifti: Callable[..., bytes], head: Head
) -> None:
    """Cases 61, 62."""
    voxels = head().astype(np.float32) - 5
    voxels[3, 3, 3] = 1e30
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(voxels))
    notes = "; ".join(read_volume(path).notes)
    assert "has negative values, down to -5" in notes
    assert "its largest value, 1e+30, is far above" in notes


def test_a_bright_scan_of_tiny_contrast_keeps_its_contrast(
    tmp_path: Path, nifti: Callable[..., bytes]
) -> None:
    """Case 63."""
    voxels = np.random.default_rng(0).normal(30000, 5, (20, 18, 16)).astype(np.float32)
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(voxels))
    np.testing.assert_array_equal(np.asarray(read_volume(path).volume.array), voxels)


def test_scaling_is_exact_to_float32(
    tmp_path: Path, nifti: Callable[..., bytes], head: Head
) -> None:
    slope, intercept = np.float32(0.0123), np.float32(-1000.5)
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(head(), scl_slope=slope, scl_inter=intercept))
    slow = np.array([float(v) * float(slope) + float(intercept) for v in head().ravel()])
    np.testing.assert_array_equal(
        np.asarray(read_volume(path).volume.array).ravel(), slow.astype(np.float32)
    )


def test_a_volume_of_several_blocks_is_judged_as_a_whole(
    tmp_path: Path, nifti: Callable[..., bytes], head: Head
) -> None:
    voxels = head((70, 68, 66))
    assert voxels.size > BLOCK_VOXELS
    spacing = {"pixdim": [1, 2, 2, 2, 0, 0, 0, 0], "sform_code": 0}
    path = tmp_path / "scan.nii"
    path.write_bytes(nifti(voxels, **spacing))
    np.testing.assert_array_equal(np.asarray(read_volume(path).volume.array), voxels)
    voxels[:] = 0
    voxels[..., 33:] = 7
    path.write_bytes(nifti(voxels, **spacing))
    with pytest.raises(ScanError, match="mask or label map"):
        judge_file(path)
