"""The z-score inside the mask: exact, stable, and calm about degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from neurofm.data.prepare import model_input, zscore_in_mask
from neurofm.volumes.grids import template_grid
from neurofm.volumes.volume import Volume


def slow_zscore(images: Tensor, masks: Tensor) -> np.ndarray:
    result = np.zeros(images.shape)
    for i, (image, mask) in enumerate(zip(images.numpy(), masks.numpy(), strict=True)):
        inside = image[mask].astype(np.float64)
        result[i][mask] = (inside - inside.mean()) / inside.std()
    return result


def random_batch(mean: float, sd: float) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(mean, sd, (3, 1, 12, 16, 16)).astype(np.float32))
    masks = torch.from_numpy(rng.random((3, 1, 12, 16, 16)) < 0.4)
    return images, masks


@pytest.mark.parametrize(("mean", "sd"), [(0, 1), (30000, 5), (-1e6, 3), (1e-6, 1e-8), (50, 1e9)])
def test_the_zscore_equals_the_slow_one_even_for_a_bright_mean(mean, sd):
    images, masks = random_batch(mean, sd)
    assert np.abs(zscore_in_mask(images, masks).numpy() - slow_zscore(images, masks)).max() < 1e-4


def test_what_lies_outside_the_mask_has_no_influence():
    images, masks = random_batch(5, 2)
    changed = torch.where(masks, images, torch.full_like(images, 1e4))
    assert torch.allclose(zscore_in_mask(images, masks), zscore_in_mask(changed, masks), atol=1e-6)
    assert not zscore_in_mask(changed, masks)[~masks].any()


def test_an_empty_mask_and_a_constant_image_give_zeros():
    images, masks = random_batch(5, 2)
    masks[0] = False
    images[1] = 30000.7
    result = zscore_in_mask(images, masks)
    assert not result[0].any()
    assert not result[1].any()
    assert result[2].any()


def test_autocast_does_not_touch_the_statistics():
    images, masks = random_batch(30000, 5)
    with torch.autocast("cpu", torch.bfloat16):
        result = zscore_in_mask(images, masks)
    assert torch.equal(result, zscore_in_mask(images, masks))


def test_the_input_is_not_changed():
    images, masks = random_batch(5, 2)
    before = images.clone()
    zscore_in_mask(images, masks)
    assert torch.equal(images, before)


def test_the_reference_preparation_is_met(shared):
    reference = np.load(shared / "reference" / "reference_values.npz")
    grid = template_grid(1.0)
    values = np.random.default_rng(7).gamma(2.0, 50.0, grid.shape).astype(np.float32)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    inside = sum((a / r) ** 2 for a, r in zip(axes, (0.75, 0.8, 0.7), strict=True)) < 1
    images, masks = model_input(Volume(values, grid.affine), Volume(inside, grid.affine), 1.0)
    result = zscore_in_mask(images, masks)
    assert result.shape == (1, *reference["prep_shape"].tolist())
    points = result[0, 0].numpy()[tuple(reference["prep_points"].T)]
    assert np.abs(points - reference["prep_values"]).max() < 1e-6
    total = float((result.double() ** 2).sum())
    assert total == pytest.approx(float(reference["prep_sum_sq"]), rel=1e-6)
