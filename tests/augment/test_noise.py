"""Noise is a function of its seed, and as strong as drawn."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from neurofm.augment.noise import NoiseDraw, add_noise_, draw_noise, fill_with_noise
from neurofm.seeds import random_stream

SHAPE = (1, 1, 20, 30, 40)


def test_equal_seeds_give_equal_noise_whatever_the_threads():
    before = torch.get_num_threads()
    alone = fill_with_noise(torch.empty(SHAPE), 5)
    fields = [torch.empty(SHAPE) for _ in range(3)]
    threads = [threading.Thread(target=fill_with_noise, args=(field, 5)) for field in fields]
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(field, alone) for field in fields)
    assert not torch.equal(fill_with_noise(torch.empty(SHAPE), 6), alone)


def test_noise_has_the_drawn_strength_and_no_mean():
    image = add_noise_(torch.full(SHAPE, 2.0), None, NoiseDraw(0.3, 1))
    assert float(image.mean()) == pytest.approx(2, abs=0.01)
    assert float(image.std()) == pytest.approx(0.3, rel=0.02)


def test_noise_inside_a_mask_leaves_the_outside_alone():
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[..., :10] = True
    everywhere = add_noise_(torch.zeros(SHAPE), None, NoiseDraw(0.3, 1))
    inside = add_noise_(torch.zeros(SHAPE), mask, NoiseDraw(0.3, 1))
    assert torch.equal(inside, everywhere * mask)


def test_strength_is_uniform_from_nought_as_monais_default_draws_it():
    found = [draw_noise(random_stream("test noise", i), 0.2, 0.1) for i in range(4000)]
    strengths = [noise.std for noise in found if noise is not None]
    assert len(strengths) / 4000 == pytest.approx(0.2, abs=0.03)
    assert np.histogram(strengths, bins=4, range=(0, 0.1))[0] == pytest.approx(
        len(strengths) / 4, rel=0.2
    )


def test_no_strength_is_no_noise_and_probability_changes_no_other_number():
    assert draw_noise(random_stream("test noise", 0), 1.0, 0.0) is None
    for number in range(50):
        always = draw_noise(random_stream("test noise", number), 1.0, 0.1)
        assert draw_noise(random_stream("test noise", number), 0.5, 0.1) in {None, always}
