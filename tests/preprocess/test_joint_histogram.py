from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurofm.preprocess.joint_histogram import joint_histogram

BINS = 8


def slow_histogram(
    moving: np.ndarray, to_voxel: np.ndarray, fixed: np.ndarray, top: float
) -> np.ndarray:
    """The same with scipy's resampling and NumPy's counting."""
    moved = ndimage.affine_transform(
        moving, to_voxel[:3, :3], to_voxel[:3, 3], fixed.shape, order=1, output=np.float64
    )
    scaled = np.clip(moved.ravel() * (BINS - 1) / top, 0, BINS - 1.001)
    below = scaled.astype(int)
    share = scaled - below
    pairs = fixed.ravel() * BINS + below
    counts = np.bincount(pairs, 1 - share, BINS**2) + np.bincount(pairs + 1, share, BINS**2)
    return counts.reshape(BINS, BINS)


@pytest.mark.parametrize("degrees", [(0, 0, 0), (20, -35, 10), (170, 5, 60)])
def test_the_compiled_pass_counts_as_scipy_and_numpy_do(degrees: tuple[float, ...]) -> None:
    random = np.random.default_rng(3)
    moving = random.gamma(2, 1, (11, 13, 9)).astype(np.float32)
    fixed = random.integers(0, BINS - 1, (12, 10, 14))
    to_voxel = np.eye(4)
    to_voxel[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() * 0.9
    to_voxel[:3, 3] = np.array([5, 6, 4]) - to_voxel[:3, :3] @ np.array([6, 5, 7]) + 0.137
    found = joint_histogram(moving, to_voxel, fixed, BINS, 4.0)
    assert found.sum() == pytest.approx(fixed.size)
    np.testing.assert_allclose(found, slow_histogram(moving, to_voxel, fixed, 4.0), atol=1e-9)


def test_places_outside_the_scan_count_as_dark() -> None:
    far = np.eye(4)
    far[:3, 3] = 100
    found = joint_histogram(np.ones((4, 4, 4), np.float32), far, np.full((3, 3, 3), 2), BINS, 1.0)
    assert found[2, 0] == 27
    assert found.sum() == 27
