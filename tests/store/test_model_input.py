"""The box, the order and the averaging of the model's input."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.errors import ConfigError, ScanError
from neurofm.store.model_input import coarsen, from_model_order, to_model_order
from neurofm.volumes.grids import model_shape, template_grid
from neurofm.volumes.volume import Volume


def on_grid(array: np.ndarray, spacing_mm: float = 1.0) -> Volume:
    return Volume(array, template_grid(spacing_mm).affine)


def test_the_reference_preparation_is_met_exactly(shared):
    reference = np.load(shared / "reference" / "reference_values.npz")
    shape = template_grid(1.0).shape
    values = np.random.default_rng(7).gamma(2.0, 50.0, shape).astype(np.float32)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum((a / r) ** 2 for a, r in zip(axes, (0.75, 0.8, 0.7), strict=True)) < 1
    image, mask = to_model_order(on_grid(values), on_grid(inside), 1.0)
    assert image.shape == (150, 192, 192)
    assert np.array_equal(image[tuple(reference["prep_points"].T)], reference["prep_raw_values"])
    assert int(mask.sum()) == int(reference["prep_mask_voxels"])


def test_every_voxel_comes_from_its_place_in_the_template():
    shape = template_grid(1.0).shape
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 65521
    image, _ = to_model_order(on_grid(numbers), on_grid(numbers > 0), 1.0)
    for z, y, x in ((0, 0, 0), (149, 191, 191), (20, 100, 3)):
        assert image[z, y, x] == numbers[x + 1, y + 19, z + 10]


@pytest.mark.parametrize("factor", [1.5, 2.0, 3.0, 6.0])
def test_coarsening_is_the_mean_over_the_covered_volume(factor):
    fine = np.random.default_rng(0).normal(5, 2, (6, 12, 18)).astype(np.float32)
    coarse = coarsen(fine, factor)
    halves = fine.repeat(2, 0).repeat(2, 1).repeat(2, 2)  # half voxels: 1.5 is three of them
    n = round(2 * factor)
    a, b, c = (size // n for size in halves.shape)
    slow = halves.reshape(a, n, b, n, c, n).mean(axis=(1, 3, 5))
    assert coarse.shape == slow.shape
    assert np.allclose(coarse, slow, atol=1e-5)


def test_a_coarser_grid_averages_image_and_takes_half_covered_mask_voxels():
    values = np.random.default_rng(1).normal(size=template_grid(1.0).shape).astype(np.float32)
    inside = np.zeros(values.shape, bool)
    inside[1 : 1 + 3 * 10 + 2, 19:49, 10:40] = True  # the last coarse voxel is two thirds covered
    inside[1:32, 49:79, 10:40] = True  # and here one third
    image, mask = to_model_order(on_grid(values), on_grid(inside), 3.0)
    assert image.shape == mask.shape == (50, 64, 64)
    assert image[4, 5, 6] == pytest.approx(values[19:22, 34:37, 22:25].mean(), abs=1e-6)
    assert mask[0, 0, :11].all()
    assert not mask[0, 0, 11]
    assert mask[0, 10, :10].all()
    assert not mask[0, 10, 10]


@pytest.mark.parametrize("source_mm", [2.0, 3.0, 6.0])
def test_derivatives_on_a_coarse_grid_are_cut_as_they_are(source_mm):
    grid = template_grid(source_mm)
    values = np.random.default_rng(2).normal(size=grid.shape).astype(np.float32)
    image, _ = to_model_order(on_grid(values, source_mm), on_grid(values > 0, source_mm), source_mm)
    assert image.shape == model_shape(source_mm)
    before = int(19 / source_mm)
    assert image[3, 4, 5] == values[int(1 / source_mm) + 5, before + 4, int(10 / source_mm) + 3]


def test_one_pass_and_two_passes_to_a_coarse_grid_agree():
    values = np.random.default_rng(3).normal(size=template_grid(1.0).shape).astype(np.float32)
    direct, _ = to_model_order(on_grid(values), on_grid(values > 0), 6.0)
    fine, _ = to_model_order(on_grid(values), on_grid(values > 0), 2.0)
    assert np.allclose(coarsen(fine, 3.0), direct, atol=1e-6)


def test_a_finer_grid_than_the_scan_is_refused():
    values = np.ones(template_grid(3.0).shape, np.float32)
    with pytest.raises(ConfigError, match="coarser than 2 mm"):
        to_model_order(on_grid(values, 3.0), on_grid(values > 0, 3.0), 2.0)


def test_scans_off_the_template_grid_are_refused():
    grid = template_grid(6.0)
    values = np.ones(grid.shape, np.float32)
    good = on_grid(values, 6.0)
    moved = grid.affine.copy()
    moved[0, 3] += 2
    for bad in (Volume(values[1:], grid.affine), Volume(values, moved)):
        with pytest.raises(ScanError, match="not on the template grid"):
            to_model_order(bad, good, 6.0)
        with pytest.raises(ScanError, match="not on the template grid"):
            to_model_order(good, Volume(bad.array > 0, bad.affine), 6.0)
    odd = Volume(values, np.diag([5.0, 5.0, 5.0, 1.0]))
    with pytest.raises(ScanError, match="spacing of 5 mm"):
        to_model_order(odd, odd, 6.0)


@pytest.mark.parametrize("spacing_mm", [1.0, 3.0])
def test_a_volume_of_the_model_goes_back_to_its_place_in_the_template(spacing_mm):
    shape = template_grid(spacing_mm).shape
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 65521
    template = on_grid(numbers, spacing_mm)
    image, _ = to_model_order(template, on_grid(numbers > 0, spacing_mm), spacing_mm)
    back = from_model_order(image, spacing_mm)
    assert back.shape == model_shape(spacing_mm)[::-1]
    for voxel in ((0, 0, 0), (5, 11, 3), (60, 40, 30)):
        place = back.affine @ [*voxel, 1]
        there = np.rint(np.linalg.inv(template.affine) @ place).astype(int)[:3]
        assert back.array[voxel] == numbers[tuple(there)]
