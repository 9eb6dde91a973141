"""The effect check finds the transforms that are in vain, and no others."""

from __future__ import annotations

import pytest

from neurofm.augment.effect_check import check_effects
from neurofm.config.affine import AffineConfig
from neurofm.config.learning import ViewsConfig
from neurofm.config.recipe import load_recipe


def in_vain(config: ViewsConfig, spacing_mm: float = 1.0) -> list[str]:
    return [each.transform for each in check_effects(config, spacing_mm) if each.warning]


@pytest.mark.parametrize("recipe", ["simclr-paper", "simclr-as-coded"])
def test_only_the_papers_intensity_shift_is_in_vain(recipe):
    config = load_recipe(recipe).views
    assert in_vain(config) == ["intensity shift"]
    (warning,) = [each.warning for each in check_effects(config, 1.0) if each.warning]
    assert "the z-score removes any constant" in warning


def test_every_transform_of_the_anatomy_recipe_changes_something():
    config = load_recipe("simclr-anatomy").views
    effects = check_effects(config, 1.0)
    assert len(effects) == 8
    assert not any(each.warning for each in effects)


def test_slices_thinner_than_a_voxel_are_in_vain():
    config = load_recipe("simclr-anatomy").views
    assert in_vain(config, spacing_mm=6.0) == ["slice thickness"]


def test_empty_ranges_are_in_vain_and_what_is_not_asked_for_is_not_tried():
    config = ViewsConfig(
        min_crop_mm=(150, 192, 192),
        rotation_radians=0.0,
        gamma_range=(1.0, 1.0),
        flip_probability=0.0,
        intensity_shift_probability=0.0,
    )
    assert in_vain(config) == ["crop", "rotation", "contrast"]
    assert len(check_effects(config, 1.0)) == 3


def test_with_the_z_score_first_a_shift_is_not_in_vain():
    config = ViewsConfig(
        rotation_probability=0.0,
        gamma_probability=0.0,
        intensity_shift=0.1,
        affine=AffineConfig(probability=0.7),
        noise_probability=0.2,
        zscore="before",
    )
    effects = check_effects(config, 1.0)
    names = [each.transform for each in effects]
    assert names == ["crop", "flip", "intensity shift", "affine map", "Gaussian noise"]
    assert not any(each.warning for each in effects)
    shift = effects[names.index("intensity shift")].largest_change
    assert shift == pytest.approx(0.1, abs=0.03)
    assert in_vain(config.model_copy(update={"zscore": "after"})) == ["intensity shift"]


def test_empty_ranges_of_shift_affine_map_and_noise_are_named_so():
    config = ViewsConfig(
        intensity_shift=0.0,
        affine=AffineConfig(probability=1, rotation_radians=0, scale=0, translation_mm=0),
        noise_probability=1.0,
        noise_std=0.0,
        zscore="before",
    )
    warnings = [each.warning for each in check_effects(config, 1.0) if each.warning]
    assert len(warnings) == 3
    assert all("its range is empty" in warning for warning in warnings)
