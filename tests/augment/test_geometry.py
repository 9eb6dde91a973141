"""Resize and rotation against slow, obvious versions in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch import Tensor

from neurofm.augment.geometry import crop_and_resize, rotate_in_plane


def slow_resize(box: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Trilinear with half-pixel centres; beyond the outer centres the outer value."""
    places = [
        np.clip((np.arange(n) + 0.5) * size / n - 0.5, 0, size - 1)
        for n, size in zip(shape, box.shape, strict=True)
    ]
    return map_coordinates(box.astype(np.float64), np.meshgrid(*places, indexing="ij"), order=1)


def slow_places(height: int, width: int, radians: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    dy, dx = y - middle_y, x - middle_x
    from_y = np.cos(radians) * dy - np.sin(radians) * dx + middle_y
    from_x = np.sin(radians) * dy + np.cos(radians) * dx + middle_x
    return np.clip(from_y, 0, height - 1), np.clip(from_x, 0, width - 1)


def check_rotation(image: Tensor, mask: Tensor, radians: float, tolerance: float) -> None:
    turned, moved = rotate_in_plane(image, mask, [radians])
    places = slow_places(*image.shape[3:], radians)
    nearest = tuple(np.rint(place).astype(int) for place in places)
    for z in range(image.shape[2]):
        expected = map_coordinates(image[0, 0, z].double().numpy(), places, order=1)
        assert np.abs(turned[0, 0, z].numpy() - expected).max() < tolerance
        assert np.array_equal(moved[0, 0, z].numpy(), mask[0, 0, z].numpy()[nearest])


@pytest.mark.parametrize("radians", [0.6, -0.31, 0.785, 1e-4])
def test_a_rotation_is_the_plain_formula(radians, small):
    check_rotation(*small, radians, 1e-4)


def test_a_rotation_of_slices_that_are_not_square_keeps_angles():
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, 4, 20, 31), dtype=np.float32))
    check_rotation(image, image > 0.5, 0.5, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("radians", [0.7, -0.23])
def test_a_full_size_rotation_is_the_plain_formula(radians, large):
    check_rotation(*large, radians, 1e-3)  # edges of 15 intensities in one voxel


def test_a_quarter_turn_goes_from_the_second_axis_to_the_third():
    image = torch.zeros(1, 1, 1, 5, 5)
    image[0, 0, 0, 1, 2] = 1.0
    turned, _ = rotate_in_plane(image, image > 0, [np.pi / 2])
    assert torch.allclose(turned[0, 0, 0, 2, 3], torch.tensor(1.0), atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    ("start", "size"),
    [((0, 0, 0), (25, 32, 32)), ((3, 5, 2), (11, 9, 28)), ((24, 0, 31), (1, 32, 1))],
)
def test_crop_and_resize_is_the_plain_formula(start, size, flip, small):
    resized, moved = crop_and_resize(*small, start, size, flip)
    z, y, x = (slice(low, low + count) for low, count in zip(start, size, strict=True))
    image, mask = (part[0, 0, z, y, x].numpy() for part in small)
    expected = slow_resize(image, (25, 32, 32))
    index = [np.arange(n) * count // n for n, count in zip((25, 32, 32), size, strict=True)]
    inside = mask[np.ix_(*index)]
    if flip:
        expected, inside = expected[:, :, ::-1], inside[:, :, ::-1]
    assert np.abs(resized[0, 0].numpy() - expected).max() < 2e-5
    assert np.array_equal(moved[0, 0].numpy(), inside)
