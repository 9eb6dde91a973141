"""Sections of several kinds: encoders and objectives, and which of them go together."""

from __future__ import annotations

from typing import Any

import pytest

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.objectives import MAEConfig, SimCLRConfig
from neurofm.config.recipe import check_recipe
from neurofm.config.show import recipe_as_yaml
from neurofm.config.yaml_reader import parse_yaml
from neurofm.errors import ConfigError

_VIT: dict[str, Any] = {"kind": "vit"}
_MAE: dict[str, Any] = {"kind": "mae"}


def _refusal(**sections: Any) -> str:
    with pytest.raises(ConfigError) as told:
        check_recipe({"name": "x"} | sections, "a test")
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_recipe_without_kinds_is_of_the_papers() -> None:
    recipe = check_recipe({"name": "x", "encoder": {"stem_stride": 2}}, "a test")
    assert recipe.encoder == ResNetConfig(stem_stride=2)
    assert recipe.objective == SimCLRConfig()


def test_the_kind_chooses_the_section() -> None:
    recipe = check_recipe({"name": "x", "encoder": _VIT, "objective": _MAE}, "a test")
    assert (recipe.encoder, recipe.objective) == (ViTConfig(), MAEConfig())


def test_a_recipe_of_other_kinds_reads_back_to_itself() -> None:
    values = {"name": "x", "encoder": _VIT | {"depth": 3}, "objective": _MAE}
    recipe = check_recipe(values, "a test")
    again = check_recipe(parse_yaml(recipe_as_yaml(recipe), "shown"), "shown")
    assert again == recipe


def test_an_unknown_kind_is_named_with_those_there_are() -> None:
    assert "'encoder.kind' is 'vitt'" in _refusal(encoder={"kind": "vitt"})
    assert "'resnet18', 'vit'" in _refusal(encoder={"kind": "vitt"})


def test_an_unknown_key_of_a_kind_is_corrected_among_its_own() -> None:
    told = _refusal(encoder=_VIT | {"patch_voxel": [1, 1, 1]})
    assert "unknown key 'encoder.patch_voxel'" in told
    assert "did you mean 'encoder.patch_voxels'" in told


def test_a_value_out_of_bounds_is_named_without_its_kind() -> None:
    assert "'objective.mask_ratio'" in _refusal(encoder=_VIT, objective=_MAE | {"mask_ratio": 1.0})


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"objective": _MAE}, "which only a transformer can"),
        ({"encoder": _VIT, "training": {"stream_stem": True}}, "has no stem"),
        (
            {"encoder": _VIT, "objective": _MAE, "training": {"gradient_cache": 2}},
            "compare the participants",
        ),
        ({"encoder": _VIT, "training": {"accumulate": 2}}, "fewer negatives"),
        (
            {
                "encoder": _VIT,
                "objective": _MAE | {"only_brain": True},
                "training": {"accumulate": 2},
            },
            "different numbers of patches with brain",
        ),
        (
            {"encoder": _VIT, "objective": _MAE, "training": {"accumulate": 5}},
            "does not divide training.batch_size=72",
        ),
        ({"encoder": _VIT | {"heads": 5}}, "heads has to divide the width"),
        (
            {"encoder": _VIT, "objective": _MAE | {"decoder_heads": 5}},
            "decoder_heads has to divide",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(sections: dict[str, Any], reason: str) -> None:
    assert reason in _refusal(**sections)
