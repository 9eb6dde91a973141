"""Scanner augmentation against the plain formulas, and as a function of its stream alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from neurofm.augment.scanner import (
    ScannerDraw,
    apply_bias_field,
    apply_contrast_curve,
    apply_noise,
    apply_thick_slices,
    draw_scanner,
    scanned_box,
    scanned_volume,
)
from neurofm.config.scanner import ScannerConfig
from neurofm.seeds import random_stream

ALWAYS = ScannerConfig(
    contrast_probability=1.0,
    bias_field_probability=1.0,
    resolution_probability=1.0,
    noise_probability=1.0,
)
NOTHING = ScannerDraw(None, None, 0, None, None, True, 5)


def signal(shape: tuple[int, int, int] = (9, 11, 10), seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).gamma(4.0, 0.25, shape).astype(np.float32)
    values[:2] = 0  # no signal there
    return torch.from_numpy(values)


def draw(number: int = 0, config: ScannerConfig = ALWAYS) -> ScannerDraw:
    return draw_scanner(random_stream("test", number), config, 1.0)


def test_equal_streams_give_equal_draws_and_probabilities_change_no_other_draw():
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    for number in range(30):
        quiet = draw(number, ALWAYS.model_copy(update={"contrast_probability": 0.0}))
        assert quiet == replace(draw(number), contrast_slopes=None)


def test_each_part_is_drawn_as_often_as_asked():
    config = ScannerConfig(
        contrast_probability=0.5,
        bias_field_probability=0.2,
        resolution_probability=1.0,
        noise_probability=0.8,
        max_slice_mm=4.0,
    )
    drawn = [draw(number, config) for number in range(2000)]
    shares = [
        np.mean([each.contrast_slopes is not None for each in drawn]),
        np.mean([each.bias_waves is not None for each in drawn]),
        np.mean([each.slice_voxels is not None for each in drawn]),
        np.mean([each.noise_share is not None for each in drawn]),
    ]
    assert shares == pytest.approx([0.5, 0.2, 0.75, 0.8], abs=0.04)  # a quarter is below a voxel
    assert max(each.slice_voxels or 0 for each in drawn) == pytest.approx(4.0, abs=0.1)


def test_the_contrast_curve_is_the_plain_one_and_rises():
    slopes, values = (0.5, 2.0, 1.0, 0.25), signal()
    knots = np.array([0, 0.5, 1.0, 1.5, 2.0, 100.0])
    heights = np.concatenate([[0], np.cumsum(np.diff(knots) * [*slopes, slopes[-1]])])
    expected = np.interp(values.numpy(), knots, heights)
    assert np.allclose(apply_contrast_curve(values, slopes).numpy(), expected, atol=1e-5)
    ordered = torch.linspace(0, 4, 500)[None, None]
    bent = apply_contrast_curve(ordered, draw().contrast_slopes)
    assert (bent.diff() > 0).all()


def test_the_bias_field_is_the_plain_formula_in_any_box():
    waves, full = draw().bias_waves, (13, 17, 15)
    whole = apply_bias_field(torch.ones(full), waves, (0, 0, 0), full)
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in full], indexing="ij")
    log_field = sum(
        waves[9 * i + 3 * j + k]
        * np.cos(np.pi * (i * z))
        * np.cos(np.pi * j * y)
        * np.cos(np.pi * k * x)
        for i in range(3)
        for j in range(3)
        for k in range(3)
    )
    assert np.allclose(whole.numpy(), np.exp(log_field), rtol=1e-5)
    part = apply_bias_field(torch.ones(4, 5, 6), waves, (3, 2, 8), full)
    assert torch.allclose(part, whole[3:7, 2:7, 8:14], rtol=1e-5)


def test_a_bias_field_is_as_strong_as_drawn():
    strengths = []
    for number in range(200):
        field = apply_bias_field(
            torch.ones(20, 20, 20), draw(number).bias_waves, (0, 0, 0), (20, 20, 20)
        )
        strengths.append(float(field.log().square().mean().sqrt()))
    assert max(strengths) < 0.101
    assert np.mean(strengths) == pytest.approx(0.05, abs=0.01)  # uniform up to 0.1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_thick_slices_average_across_one_axis_only(axis):
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32))
    thick = apply_thick_slices(values, axis, 2.0)
    turned = values.movedim(axis, 0)
    means = (turned[0::2] + turned[1::2]) / 2
    expected = torch.stack(
        [
            0.75 * means[i // 2] + 0.25 * means[min(max(i // 2 + (1 if i % 2 else -1), 0), 3)]
            for i in range(8)
        ]
    )
    assert torch.allclose(thick.movedim(axis, 0), expected, atol=1e-6)


def test_noise_has_the_asked_strength_and_rician_noise_stays_positive():
    flat = torch.ones(40, 40, 40)
    gaussian = apply_noise(flat, 0.05, False, 3)
    assert float((gaussian - 1).std()) == pytest.approx(0.05, rel=0.02)
    assert float(gaussian.mean()) == pytest.approx(1, abs=1e-3)
    rician = apply_noise(torch.zeros(40, 40, 40), 0.05, True, 3)
    assert float(rician.min()) >= 0
    assert float(rician.mean()) == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)
    assert torch.equal(gaussian, apply_noise(flat, 0.05, False, 3))
    assert not torch.equal(gaussian, apply_noise(flat, 0.05, False, 4))


def test_a_draw_of_nothing_changes_nothing():
    box = signal()
    assert torch.allclose(scanned_box(box, NOTHING, (0, 0, 0), (9, 11, 10)), box, rtol=1e-6)


def test_a_factor_of_all_intensities_comes_out_as_it_went_in():
    box = signal()
    once = scanned_box(box, draw(), (1, 2, 3), (20, 20, 20))
    many = scanned_box(box * 4096, draw(), (1, 2, 3), (20, 20, 20))
    assert torch.allclose(many / 4096, once, rtol=1e-5, atol=1e-6)


def test_inputs_stay_as_they_are_and_places_without_signal_stay_dark():
    box = signal()
    before = box.clone()
    for number in range(5):
        sharp = replace(draw(number), slice_voxels=None)
        seen = scanned_box(box, sharp, (0, 0, 0), (9, 11, 10))
        assert not seen[:2].any()
        assert torch.isfinite(seen).all()
    assert torch.equal(box, before)


def test_an_empty_box_gives_no_nan():
    assert not scanned_box(torch.zeros(4, 4, 4), draw(), (0, 0, 0), (9, 9, 9)).any()


def test_a_volume_is_scanned_above_its_lowest_intensity():
    image = signal()[None, None] - 12.0
    seen = scanned_volume(image, draw(), (2, 3, 4), (5, 6, 6))
    box = signal()[2:7, 3:9, 4:10]
    expected = scanned_box(box, draw(), (2, 3, 4), (9, 11, 10))
    assert torch.allclose(seen[0, 0, 2:7, 3:9, 4:10], expected, atol=1e-4)
