"""Draws follow the paper's distributions and their stream alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurofm.augment.draws import ViewDraw, ViewKey, draw_for, draw_view
from neurofm.config.learning import ViewsConfig
from neurofm.config.recipe import check_section, load_recipe
from neurofm.errors import ConfigError
from neurofm.seeds import random_stream

SHAPE = (150, 192, 192)
FIRST_DRAW = ViewDraw(
    crop_start=(0, 1, 18),
    crop_size=(150, 153, 45),
    flip=False,
    rotation_radians=None,
    shift=0.0,
    gamma=1.2032281852390452,
)


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


def keyed(config: ViewsConfig, count: int = 30, epoch: int = 0, view: int = 0) -> list[ViewDraw]:
    keys = [ViewKey(0, epoch, f"c/{number}", view) for number in range(count)]
    return [draw_for(key, config, SHAPE, 1.0) for key in keys]


def test_the_papers_draws_are_those_of_the_view_stream_alone():
    for number, drawn in enumerate(keyed(ViewsConfig(), 5, epoch=3)):
        stream = random_stream("view", 0, 3, f"c/{number}", 0, 0)
        assert drawn == draw_view(stream, ViewsConfig(), SHAPE, 1.0)
        assert drawn.scanner is None


def test_the_first_draw_of_the_paper_stays_what_it_was():
    # recorded when only the paper's policy existed
    (drawn,) = keyed(load_recipe("simclr-paper").views, 1)
    assert drawn == FIRST_DRAW


def test_every_draw_depends_on_seed_epoch_participant_view_and_attempt():
    config = load_recipe("simclr-anatomy").views
    key = ViewKey(0, 0, "c/1", 0)
    drawn = draw_for(key, config, SHAPE, 1.0)
    assert drawn == draw_for(key, config, SHAPE, 1.0)
    for other in (
        replace(key, seed=1),
        replace(key, epoch=1),
        replace(key, item="c/2"),
        replace(key, view=1),
        replace(key, attempt=1),
    ):
        changed = draw_for(other, config, SHAPE, 1.0)
        assert changed.crop_size != drawn.crop_size
        assert changed.scanner != drawn.scanner
        assert changed.gamma != drawn.gamma


def test_as_coded_every_epoch_repeats_a_few_draws():
    config = ViewsConfig(distinct_draws=7)
    epochs = [keyed(config, 60, epoch) for epoch in range(3)]
    assert all(len(set(epoch)) == 7 for epoch in epochs)
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1]  # but not for the same participants
    seconds = keyed(config, 60, view=1)
    assert not set(seconds) & set(epochs[0])
    # the two views of a pair keep together, as they do in a loader's worker
    assert len(set(zip(epochs[0], seconds, strict=True))) == 7


def test_as_coded_differs_from_the_paper_in_two_knobs_only():
    paper, coded = load_recipe("simclr-paper"), load_recipe("simclr-as-coded")
    named = {"epoch_of": "scans", "distinct_draws": 5620}
    assert coded.views == paper.views.model_copy(update=named)
    assert coded.training == paper.training
