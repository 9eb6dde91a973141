"""Sixteen bits a voxel lose nothing that matters, whatever a single voxel does."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.store.quantise import Quantised, quantise


def image_with(value: float | None = None) -> np.ndarray:
    image = np.full((25, 32, 32), -12.0, np.float32)
    image[5:20, 5:25, 5:25] = np.random.default_rng(0).normal(0, 3, (15, 20, 20))
    if value is not None:
        image[7, 8, 9] = value
    return image


def restored(quantised: Quantised) -> np.ndarray:
    return quantised.offset + quantised.step * quantised.stored.astype(np.float64)


def test_the_error_is_at_most_half_a_step():
    image = image_with()
    quantised = quantise(image)
    assert quantised.clipped_voxels == 0
    assert quantised.stored.max() == 65535
    assert np.abs(restored(quantised) - image).max() <= 0.51 * quantised.step
    assert quantised.step == pytest.approx((image.max() - image.min()) / 65535, rel=1e-5)


@pytest.mark.parametrize("outlier", [1e30, -1e30, 1e5, 3.4e38])
def test_one_wild_voxel_costs_no_precision_elsewhere(outlier):
    image = image_with(outlier)
    quantised = quantise(image)
    assert quantised.clipped_voxels == 1
    error = np.abs(restored(quantised) - image)
    error[7, 8, 9] = 0
    assert error.max() < 2e-3  # of a standard deviation of 3
    assert quantised.stored[7, 8, 9] == (65535 if outlier > 0 else 0)


def test_a_bright_vessel_is_not_clipped():
    image = image_with(25.0)  # twice the range above the brain
    quantised = quantise(image)
    assert quantised.clipped_voxels == 0
    assert restored(quantised)[7, 8, 9] == pytest.approx(25.0, abs=1e-3)


def test_a_constant_image_comes_back_as_it_was():
    image = np.full((4, 5, 6), 7.25, np.float32)
    assert np.array_equal(restored(quantise(image)), image)


def test_a_bright_image_with_little_contrast_keeps_it():
    image = (30000 + 5 * np.random.default_rng(0).normal(size=(25, 32, 32))).astype(np.float32)
    error = restored(quantise(image)) - image
    assert np.sqrt((error**2).mean()) / 5 < 1e-3
