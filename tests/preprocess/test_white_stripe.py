from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from intensity_normalization.adapters.images import NumpyImageAdapter
from intensity_normalization.normalizers.individual.whitestripe import WhiteStripeNormalizer

from neurofm.errors import ScanError
from neurofm.preprocess.brain_extraction import find_brain
from neurofm.preprocess.white_stripe import find_stripe, white_matter_mode
from neurofm.volumes.nifti import read_volume


def brain_values(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = (rng.normal(40, 8, 4000), rng.normal(90, 7, 16000), rng.normal(130, 5, 12000))
    return np.abs(np.concatenate(parts)).astype(np.float32)


def by_the_package(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the stripe by the package `intensity-normalization`."""
    volume = np.zeros((20, 40, -(-values.size // 800)))
    volume.ravel()[: values.size] = values
    mask = np.zeros(volume.shape)
    mask.ravel()[: values.size] = 1
    normalizer = WhiteStripeNormalizer()
    normalizer.fit(NumpyImageAdapter(volume), NumpyImageAdapter(mask))
    assert normalizer.mean is not None
    assert normalizer.std is not None
    return normalizer.mean, normalizer.std


@pytest.mark.parametrize("seed", range(6))
def test_the_stripe_is_that_of_the_intensity_normalization_package(seed: int) -> None:
    values = brain_values(seed)
    stripe = find_stripe(values)
    mean, deviation = by_the_package(values)
    assert stripe.mean == pytest.approx(mean, rel=1e-5)
    assert stripe.deviation == pytest.approx(deviation, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ds000011/sub-04/anat/sub-04_T1w", "ixi10/T1/IXI012-HH-1211-T1"])
def test_the_stripe_of_a_real_brain_is_that_of_the_package(shared: Path, name: str) -> None:
    scan = read_volume(shared / "scans" / f"{name}.nii.gz").volume
    values = np.asarray(scan.array[find_brain(scan).mask.array], dtype=np.float32)
    stripe = find_stripe(values)
    assert (stripe.mean, stripe.deviation) == pytest.approx(by_the_package(values), rel=1e-3)


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
