from __future__ import annotations

import numpy as np
import pytest

from neurofm.preprocess.resampling import coarsen, crop_around, cropped, refine, resample
from neurofm.volumes.grids import Grid
from neurofm.volumes.volume import Volume


def ramp_mm(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A volume whose voxels hold x + 2y + 3z of their own place in mm."""
    index = np.indices(shape).reshape(3, -1)
    places = affine[:3, :3] @ index + affine[:3, 3:]
    return (np.array([1, 2, 3]) @ places).reshape(shape).astype(np.float32)


@pytest.fixture
def ramp() -> Volume:
    affine = np.diag([1.0, 2.0, 1.5, 1.0])
    affine[:3, 3] = (-10, 5, 3)
    return Volume(ramp_mm(affine, (24, 12, 16)), affine)


def test_resampling_to_its_own_grid_changes_nothing(ramp: Volume) -> None:
    result = resample(ramp, Grid(ramp.shape, ramp.affine), np.eye(4))
    np.testing.assert_allclose(result, ramp.array, atol=1e-4)


def test_resampling_brings_each_place_to_where_the_transform_says(ramp: Volume) -> None:
    shift = np.eye(4)
    shift[:3, 3] = (2.5, -1.0, 0.75)
    inside = Grid((4, 3, 4), ramp.affine.copy())
    inside.affine[:3, 3] += (8, 8, 8)
    from_place = np.linalg.inv(shift) @ inside.affine
    np.testing.assert_allclose(
        resample(ramp, inside, shift), ramp_mm(from_place, (4, 3, 4)), atol=1e-3
    )


def test_beyond_the_field_of_view_stands_the_given_value(ramp: Volume) -> None:
    far = Grid((2, 2, 2), np.eye(4))
    far.affine[:3, 3] = 900
    assert np.all(resample(ramp, far, np.eye(4), outside=-7) == -7)


def test_a_coarser_grid_averages_instead_of_skipping() -> None:
    checkers = (np.indices((40, 40, 40)).sum(axis=0) % 2).astype(np.float32)
    scan = Volume(checkers, np.eye(4))
    grid = Grid((8, 8, 8), np.diag([4.0, 4.0, 4.0, 1.0]))
    grid.affine[:3, 3] = 4
    assert np.abs(resample(scan, grid, np.eye(4)) - 0.5).max() < 0.05


def test_coarse_voxels_stay_where_they_were_in_mm(ramp: Volume) -> None:
    coarse = coarsen(ramp, 3.0)
    assert coarse.shape == (8, 8, 8)
    np.testing.assert_allclose(coarse.spacing_mm, 3.0)
    expected = ramp_mm(coarse.affine, coarse.shape)
    np.testing.assert_allclose(coarse.array[1:-1, 1:-1, 1:-1], expected[1:-1, 1:-1, 1:-1], atol=0.1)


def test_an_axis_that_is_coarse_already_keeps_its_voxels(ramp: Volume) -> None:
    assert coarsen(ramp, 2.0).shape == (12, 12, 12)
    assert coarsen(ramp, 1.0) is ramp


def test_refining_a_coarse_ramp_gives_the_ramp_back(ramp: Volume) -> None:
    coarse = coarsen(ramp, 3.0)
    exact = Volume(ramp_mm(coarse.affine, coarse.shape), coarse.affine)
    np.testing.assert_allclose(
        refine(exact, ramp)[2:-2, 2:-2, 2:-2], ramp.array[2:-2, 2:-2, 2:-2], atol=1e-3
    )


def test_a_crop_keeps_each_voxel_in_its_place(ramp: Volume) -> None:
    mask = np.zeros(ramp.shape, dtype=bool)
    mask[5:9, 3:7, 14:16] = True
    box = crop_around(mask, (1, 2, 3))
    assert box == (slice(4, 10), slice(1, 9), slice(11, 16))
    part = cropped(ramp, box)
    np.testing.assert_allclose(part.array, ramp_mm(part.affine, part.shape), atol=1e-4)
