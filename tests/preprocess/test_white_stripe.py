from __future__ import annotations

import numpy as np
import pytest

from neurofm.errors import ScanError
from neurofm.preprocess.white_stripe import find_stripe, white_matter_mode


def brain_values(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = (rng.normal(40, 8, 4000), rng.normal(90, 7, 16000), rng.normal(130, 5, 12000))
    return np.abs(np.concatenate(parts)).astype(np.float32)


def slow_mode(values: np.ndarray) -> float:
    """The last maximum of the kernel density estimate, summed kernel by kernel."""
    kept = values[values <= np.percentile(values, 96)].astype(float)
    bandwidth = kept.max() / 80
    grid = np.linspace(kept.min(), kept.max() + 3 * bandwidth, 1500)
    density = np.exp(-0.5 * ((grid[:, None] - kept[None]) / bandwidth) ** 2).sum(axis=1)
    peaks = np.flatnonzero((density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])) + 1
    return float(grid[peaks[-1]])


def test_the_mode_is_that_of_a_density_estimate_summed_slowly() -> None:
    values = brain_values()[::4]
    assert white_matter_mode(values) == pytest.approx(slow_mode(values), abs=0.3)


def test_the_mode_is_white_matter_even_where_grey_matter_is_more() -> None:
    assert white_matter_mode(brain_values()) == pytest.approx(130, abs=2)


def test_a_tenth_of_the_voxels_around_the_mode_is_the_unit() -> None:
    values = brain_values()
    stripe = find_stripe(values)
    at_mode = (values < stripe.mode).mean()
    low, high = np.quantile(values, (at_mode - 0.05, at_mode + 0.05))
    inside = stripe.apply(values[(values > low) & (values < high)])
    assert inside.mean() == pytest.approx(0, abs=1e-3)
    assert inside.std() == pytest.approx(1, abs=1e-3)


def test_the_result_does_not_depend_on_the_scanners_gain() -> None:
    values = brain_values()
    first, second = find_stripe(values), find_stripe(values * np.float32(37))
    np.testing.assert_allclose(first.apply(values), second.apply(values * 37), atol=1e-3)
    assert first.background == pytest.approx(second.background, rel=1e-4)
    assert first.apply(np.zeros(1, np.float32))[0] == pytest.approx(first.background, rel=1e-6)


@pytest.mark.parametrize("values", [np.zeros(1000), np.full(1000, 7.0)])
def test_a_brain_without_contrast_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ScanError) as caught:
        find_stripe(values.astype(np.float32))
    assert caught.value.kind == "normalisation"
