"""Pairs of crops: the paper's figures, and the limits of the anatomy policy on every pair."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.augment.crops import Crop, brain_share, draw_crops, overlap, stretch_ratio
from neurofm.augment.draws import ViewDraw, ViewKey, draw_for
from neurofm.config.learning import ViewsConfig
from neurofm.config.recipe import check_section, load_recipe
from neurofm.errors import ConfigError
from neurofm.seeds import random_stream

SHAPE = (150, 192, 192)
PAPER = load_recipe("simclr-paper").views
ANATOMY = load_recipe("simclr-anatomy").views
Boxes = np.ndarray


def pairs(config: ViewsConfig, count: int) -> list[tuple[ViewDraw, ViewDraw]]:
    return [
        (
            draw_for(ViewKey(0, 0, f"c/{number}", 0), config, SHAPE, 1.0),
            draw_for(ViewKey(0, 0, f"c/{number}", 1), config, SHAPE, 1.0),
        )
        for number in range(count)
    ]


def boxes(drawn: list[tuple[ViewDraw, ViewDraw]]) -> tuple[Boxes, Boxes]:
    start = np.array([[view.crop_start for view in pair] for pair in drawn])
    return start, np.array([[view.crop_size for view in pair] for pair in drawn])


def overlaps(start: Boxes, size: Boxes) -> Boxes:
    return overlap(start[:, 0], size[:, 0], start[:, 1], size[:, 1])


def test_the_papers_pairs_often_share_nothing_and_are_stretched():
    start, size = boxes(pairs(PAPER, 5000))
    shared = overlaps(start, size)
    assert np.mean(shared == 0) == pytest.approx(0.11, abs=0.015)
    assert np.median(shared) == pytest.approx(0.15, abs=0.01)
    assert np.mean(stretch_ratio(size, SHAPE) > 2) == pytest.approx(0.52, abs=0.015)


def test_every_anatomy_pair_overlaps_holds_brain_and_is_little_stretched():
    start, size = boxes(pairs(ANATOMY, 1000))
    shared = overlaps(start, size)
    assert shared.min() >= 0.3
    assert 0.35 < np.median(shared) < 0.55
    assert stretch_ratio(size, SHAPE).max() <= 1.5
    assert brain_share(start, size, SHAPE).min() >= 0.3
    assert (start >= 0).all()
    assert (start + size <= SHAPE).all()
    whole = (size == SHAPE).all(axis=2)
    assert whole.mean() < 0.01  # the way out is not the way


def test_limits_hold_on_a_coarse_grid():
    drawn = [
        draw_crops(random_stream("coarse", number), ANATOMY, (25, 32, 32), 6.0)
        for number in range(200)
    ]
    start = np.array([[crop.start for crop in pair] for pair in drawn])
    size = np.array([[crop.size for crop in pair] for pair in drawn])
    assert overlaps(start, size).min() >= 0.3
    assert stretch_ratio(size, (25, 32, 32)).max() <= 1.5


def test_limits_that_no_pair_keeps_end_with_the_whole_volume():
    impossible = ViewsConfig(min_overlap=0.9, max_stretch_ratio=1.05, max_crop_draws=2)
    assert draw_crops(random_stream("none"), impossible, SHAPE, 1.0) == (
        Crop((0, 0, 0), SHAPE),
        Crop((0, 0, 0), SHAPE),
    )


def test_the_whole_volume_keeps_every_limit_that_can_be_asked_for():
    whole = np.zeros((1, 3), dtype=np.int64), np.array([SHAPE])
    assert brain_share(*whole, SHAPE)[0] >= 0.3
    for knob, value in (("min_brain_fraction", 0.31), ("min_overlap", 1), ("max_stretch_ratio", 1)):
        with pytest.raises(ConfigError, match=knob):
            check_section(ViewsConfig, {knob: value}, "test")


def test_limits_leave_the_other_draws_alone():
    limited = ViewsConfig(min_overlap=0.3)
    for (free, _), (bound, _) in zip(pairs(PAPER, 20), pairs(limited, 20), strict=True):
        assert (free.flip, free.rotation_radians, free.gamma) == (
            bound.flip,
            bound.rotation_radians,
            bound.gamma,
        )


def test_overlap_and_stretch_are_the_plain_formulas():
    rng = np.random.default_rng(0)
    for _ in range(50):
        size = rng.integers(1, 9, (2, 3))
        start = rng.integers(0, 10 - size)
        grids = np.zeros((2, 10, 10, 10), dtype=bool)
        for grid, low, count in zip(grids, start, size, strict=True):
            z, y, x = (slice(a, a + n) for a, n in zip(low, count, strict=True))
            grid[z, y, x] = True
        expected = (grids[0] & grids[1]).sum() / (grids[0] | grids[1]).sum()
        assert overlap(start[0], size[0], start[1], size[1]) == pytest.approx(expected)
        stretches = 10 / size[0]
        ratio = stretches.max() / stretches.min()
        assert stretch_ratio(size[0], (10, 10, 10)) == pytest.approx(ratio)


def test_the_brain_of_the_limits_is_like_the_templates():
    volumes = pytest.importorskip("neurofm.volumes.template")
    pytest.importorskip("nilearn")
    inside = _brain_in_model_box(volumes.packaged_template("t1"))
    rng = np.random.default_rng(1)
    size = rng.integers([30, 40, 40], SHAPE, (400, 3), endpoint=True)
    start = rng.integers(0, np.subtract(SHAPE, size), endpoint=True)
    true = [
        inside[tuple(slice(a, a + n) for a, n in zip(low, count, strict=True))].mean()
        for low, count in zip(start, size, strict=True)
    ]
    errors = np.abs(brain_share(start, size, SHAPE) - true)
    assert errors.mean() < 0.03
    assert np.percentile(errors, 99) < 0.15


def _brain_in_model_box(template) -> np.ndarray:
    """The filled T1 template, z y x, cut to the model's box; it is 1 mm and only shifted."""
    from scipy.ndimage import binary_fill_holes

    from neurofm.volumes.grids import MODEL_BOX, TEMPLATE_ORIGIN_MM

    brain = np.pad(binary_fill_holes(template.array > 0.05), 8)
    first = np.add(TEMPLATE_ORIGIN_MM, [low for low, _ in MODEL_BOX]) - template.affine[:3, 3] + 8
    x, y, z = (
        slice(round(a), round(a) + high - low)
        for a, (low, high) in zip(first, MODEL_BOX, strict=True)
    )
    return brain[x, y, z].transpose(2, 1, 0)
