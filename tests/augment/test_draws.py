"""Draws follow the paper's distributions and their stream alone."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.augment.draws import ViewDraw, draw_view
from neurofm.config.learning import ViewsConfig
from neurofm.config.recipe import check_section
from neurofm.errors import ConfigError
from neurofm.seeds import random_stream

SHAPE = (150, 192, 192)


def draws(count: int, config: ViewsConfig | None = None) -> list[ViewDraw]:
    settings = config or ViewsConfig()
    return [draw_view(random_stream("test", i), settings, SHAPE, 1.0) for i in range(count)]


def test_equal_streams_give_equal_draws():
    assert draws(5) == draws(5)


def test_crops_lie_inside_and_cover_every_size_up_to_the_full_volume():
    drawn = draws(4000)
    sizes = np.array([d.crop_size for d in drawn])
    ends = sizes + np.array([d.crop_start for d in drawn])
    assert (ends <= SHAPE).all()
    assert sizes.min(axis=0).tolist() == [30, 40, 40]
    assert sizes.max(axis=0).tolist() == list(SHAPE)
    assert np.allclose(sizes.mean(axis=0), [(30 + 150) / 2, 116, 116], atol=3)


def test_probabilities_and_ranges_are_the_papers():
    drawn = draws(4000)
    angles = [d.rotation_radians for d in drawn if d.rotation_radians is not None]
    gammas = [d.gamma for d in drawn if d.gamma is not None]
    shifts = [d.shift for d in drawn if d.shift]
    assert np.mean([d.flip for d in drawn]) == pytest.approx(0.5, abs=0.03)
    assert len(angles) / 4000 == pytest.approx(0.5, abs=0.03)
    assert len(gammas) / 4000 == pytest.approx(0.8, abs=0.03)
    assert len(shifts) / 4000 == pytest.approx(0.8, abs=0.03)
    assert np.abs(angles).max() == pytest.approx(0.785, abs=0.01)
    assert min(gammas) == pytest.approx(0.5, abs=0.01)
    assert max(gammas) == pytest.approx(1.5, abs=0.01)
    assert np.abs(shifts).max() == pytest.approx(0.5, abs=0.01)


def test_another_probability_changes_no_other_draw():
    still = draws(50, ViewsConfig(rotation_probability=0.0))
    turning = draws(50, ViewsConfig(rotation_probability=1.0))
    assert all(d.rotation_radians is None for d in still)
    assert [d.gamma for d in still] == [d.gamma for d in turning]
    assert [d.crop_start for d in still] == [d.crop_start for d in turning]


def test_the_smallest_crop_is_in_mm():
    coarse = [
        draw_view(random_stream("mm", i), ViewsConfig(), (50, 64, 64), 3.0) for i in range(2000)
    ]
    assert np.array([d.crop_size for d in coarse]).min(axis=0).tolist() == [10, 13, 13]


def test_gamma_range_in_the_wrong_order_is_refused():
    with pytest.raises(ConfigError, match="gamma_range"):
        check_section(ViewsConfig, {"gamma_range": [1.5, 0.5]}, "test")
    with pytest.raises(ConfigError, match="min_crop_mm"):
        check_section(ViewsConfig, {"min_crop_mm": [0, 40, 40]}, "test")
