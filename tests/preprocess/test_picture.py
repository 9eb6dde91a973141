from __future__ import annotations

import numpy as np

from neurofm.preprocess.picture import draw_check
from neurofm.preprocess.template_space import template_space


def test_a_picture_is_small_and_the_same_each_time() -> None:
    space = template_space("nilearn", 3.0)
    brain = np.asarray(space.brain.array, dtype=bool)
    tissue = np.where(brain, space.priors.argmax(axis=0) + 1, 0).astype(np.uint8)
    image = np.asarray(space.image.array, dtype=np.float32)
    first, second = (draw_check(image, tissue, brain, "sub-01: pass") for _ in range(2))
    assert first.startswith(b"\x89PNG")
    assert 5_000 < len(first) < 100_000
    assert first == second


def test_an_empty_brain_can_be_drawn_too() -> None:
    empty = np.zeros((12, 12, 12), np.float32)
    png = draw_check(empty, empty.astype(np.uint8), empty > 0, "empty")
    assert png.startswith(b"\x89PNG")
