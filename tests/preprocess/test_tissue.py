from __future__ import annotations

import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.preprocess.likeness import dice
from neurofm.preprocess.template_space import template_space
from neurofm.preprocess.tissue import CSF, GREY, WHITE, Trust, label_tissue

SPACE = template_space("nilearn", 3.0)
TRUTH = np.where(SPACE.brain.array, SPACE.priors.argmax(axis=0) + 1, 0)


def simulated(levels: tuple[float, float, float], noise: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    clean = np.choose(TRUTH, (0, *levels))
    return (clean + rng.normal(0, noise, TRUTH.shape) * (TRUTH > 0)).astype(np.float32)


def test_three_tissues_of_known_brightness_are_told_apart() -> None:
    labels = label_tissue(simulated((30, 70, 110)), TRUTH > 0, SPACE.priors)
    for tissue in (CSF, GREY, WHITE):
        assert dice(labels == tissue, tissue == TRUTH) > 0.95


def test_every_voxel_of_the_brain_and_no_other_gets_a_label() -> None:
    labels = label_tissue(simulated((30, 70, 110)), TRUTH > 0, SPACE.priors)
    assert np.array_equal(labels > 0, TRUTH > 0)
    assert labels.dtype == np.uint8


@pytest.mark.parametrize("without", [Trust(atlas_share=0), Trust(neighbour_rounds=0)])
def test_atlas_and_neighbours_both_help_in_noise(without: Trust) -> None:
    image = simulated((30, 70, 110), noise=30)
    wrong = [
        (label_tissue(image, TRUTH > 0, SPACE.priors, trust) != TRUTH).mean()
        for trust in (Trust(), without)
    ]
    assert wrong[0] < 0.9 * wrong[1]


def test_the_brightness_of_the_scan_does_not_matter() -> None:
    image = simulated((30, 70, 110))
    first = label_tissue(image, TRUTH > 0, SPACE.priors)
    second = label_tissue(image * np.float32(1000), TRUTH > 0, SPACE.priors)
    assert (first != second).mean() < 1e-3


def test_a_brain_of_one_brightness_is_refused() -> None:
    with pytest.raises(ScanError) as caught:
        label_tissue(np.full(TRUTH.shape, 5, np.float32), TRUTH > 0, SPACE.priors)
    assert caught.value.kind == "contrast"
