from __future__ import annotations

import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.preprocess.brain_extraction import find_brain
from neurofm.preprocess.stripped import stripped_brain
from neurofm.volumes.volume import Volume

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


def ball(radius_mm: float, background: float = 0.0) -> np.ndarray:
    distance = np.linalg.norm(np.indices((60, 60, 60)) - 29.5, axis=0) * 4
    bright = np.random.default_rng(0).uniform(100, 200, distance.shape)
    return np.where(distance < radius_mm, bright, background).astype(np.float32)


def test_one_brain_in_constant_background_is_seen_as_stripped() -> None:
    array = ball(70)
    assert np.array_equal(stripped_brain(Volume(array, AFFINE)), array > 0)


def test_the_background_need_not_be_zero() -> None:
    assert stripped_brain(Volume(ball(70, background=-5), AFFINE)) is not None


def test_ventricles_cut_out_by_the_stripping_are_filled_and_specks_dropped() -> None:
    array = ball(70)
    array[28:32, 28:32, 28:32] = 0
    array[1, 1, 1] = 50
    brain = stripped_brain(Volume(array, AFFINE))
    assert brain is not None
    assert brain[30, 30, 30]
    assert not brain[1, 1, 1]


def test_a_head_in_noisy_background_is_no_stripped_scan() -> None:
    array = ball(70)
    noise = np.random.default_rng(1).uniform(1, 5, array.shape).astype(np.float32)
    assert stripped_brain(Volume(array + noise, AFFINE)) is None


def test_a_whole_head_in_zero_background_is_no_stripped_scan() -> None:
    assert stripped_brain(Volume(ball(100), AFFINE)) is None


def test_a_given_mask_is_used_as_it_is() -> None:
    mask = ball(60) > 0
    brain = find_brain(Volume(ball(100), AFFINE), Volume(mask, AFFINE))
    assert brain.source == "given"
    assert np.array_equal(brain.mask.array, mask)


def test_a_mask_on_another_grid_is_refused() -> None:
    scan = Volume(ball(70), AFFINE)
    with pytest.raises(ScanError, match=r"\(60, 60, 60\)") as caught:
        find_brain(scan, Volume(np.ones((5, 5, 5), dtype=bool), AFFINE))
    assert caught.value.kind == "mask-grid"
    moved = AFFINE.copy()
    moved[0, 3] = 4
    with pytest.raises(ScanError, match="elsewhere"):
        find_brain(scan, Volume(np.ones((60, 60, 60), dtype=bool), moved))


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ScanError, match="empty") as caught:
        find_brain(Volume(ball(70), AFFINE), Volume(np.zeros((60, 60, 60), dtype=bool), AFFINE))
    assert caught.value.kind == "empty-mask"
