"""Plans of transformers and of each objective: the ways that are offered, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurofm.config.recipe import Recipe, load_recipe
from neurofm.errors import ConfigError
from neurofm.reports.plan_text import plan_lines
from neurofm.training.costs import step_costs
from neurofm.training.planning import Cards, Fit, plan
from neurofm.training.ways import TRANSFORMER_WAYS
from neurofm.volumes.grids import model_shape

_PARTICIPANTS = 18_759
_RECIPES = Path(__file__).parents[2] / "recipes"
_PLAIN = {"float32", "float32, checkpointed blocks", "bf16", "bf16, checkpointed blocks"}
_TRANSFORMER = ("encoder.kind=vit", "encoder.width=192")


def _fits(recipe: Recipe, cards: Cards = Cards(80.0)) -> dict[str, Fit]:  # noqa: B008 - frozen
    return {fit.way.name: fit for fit in plan(recipe, cards, _PARTICIPANTS)}


def _text(recipe: Recipe, cards: Cards) -> str:
    fits = plan(recipe, cards, _PARTICIPANTS)
    return "\n".join(plan_lines(recipe, cards, _PARTICIPANTS, fits))


@pytest.mark.parametrize("size", ["tiny", "base", "large"])
def test_the_papers_batch_of_each_masked_autoencoder_fits_one_80_gb_card_in_bf16(size: str) -> None:
    recipe = load_recipe(f"mae-paper-{size}")
    fits = _fits(recipe)
    assert fits.keys() == _PLAIN
    assert all(fits[name].fits_paper for name in ("bf16", "bf16, checkpointed blocks"))
    text = _text(recipe, Cards(80.0))
    assert "batch 128, one view each" in text
    assert "The paper's batch of 128 at this grid on one such card: yes (bf16)." in text
    assert "Gradient caching" not in text


def test_a_large_masked_autoencoder_in_float32_needs_more_than_one_card() -> None:
    fits = _fits(load_recipe("mae-paper-large"))
    assert not fits["float32"].fits
    assert fits["float32, checkpointed blocks"].fits


def test_checkpointed_blocks_cost_work_and_save_memory() -> None:
    fits = _fits(load_recipe("mae-paper-base"))
    plain, frugal = fits["bf16"], fits["bf16, checkpointed blocks"]
    assert 1.2 * plain.flops < frugal.flops < 1.3 * plain.flops
    assert frugal.participant_bytes < 0.6 * plain.participant_bytes


def test_every_override_of_a_transformer_is_one_the_recipe_takes() -> None:
    for way in TRANSFORMER_WAYS:
        recipe = load_recipe("mae-paper-tiny", way.overrides)
        assert recipe.training.precision == way.precision
        assert recipe.training.checkpoint_blocks == way.saving.blocks


def test_the_products_of_a_transformer_are_never_tf32() -> None:
    hours = [
        _fits(load_recipe("mae-paper-tiny", (f"training.tf32={word}",)))["float32"].paces[0].hours
        for word in ("true", "false")
    ]
    assert hours[0] == hours[1]


def test_contrast_takes_two_views_and_supervision_one_of_any_encoder() -> None:
    for encoder in (("encoder.kind=resnet18",), _TRANSFORMER):
        contrast = load_recipe("simclr-paper", encoder)
        alone = load_recipe("simclr-paper", (*encoder, "objective.kind=supervised"))
        for way, fit in _fits(alone).items():
            both = _fits(contrast)[way]
            assert both.flops == 2 * fit.flops
            assert both.participant_bytes > fit.participant_bytes
        assert "one view each" in _text(alone, Cards(80.0))
        assert "The paper's batch" not in _text(alone, Cards(80.0))
        assert "neurofm train simclr-paper" in _text(alone, Cards(80.0))


def test_gradient_caching_is_offered_to_contrast_without_batch_norm_alone() -> None:
    assert len(_fits(load_recipe("simclr-paper", _TRANSFORMER))) == len(_PLAIN) + 2
    group = ("encoder.norm=group", "objective.kind=supervised")
    assert not any("caching" in name for name in _fits(load_recipe("simclr-paper", group)))


def test_a_masked_autoencoder_of_a_resnet_is_refused() -> None:
    with pytest.raises(ConfigError, match="objective.kind"):
        _fits(load_recipe("simclr-paper", ("objective.kind=mae",)))


def test_a_batch_too_large_for_masked_autoencoding_can_be_added_up_from_parts() -> None:
    text = _text(load_recipe("mae-paper-large"), Cards(16.0))
    assert "training.accumulate=4 training.precision=bf16" in text
    assert "negatives" not in text
    fits = _fits(load_recipe("mae-paper-large", ("training.accumulate=4",)), Cards(16.0))
    assert fits["bf16, checkpointed blocks"].fits
    assert "accumulate" not in _text(load_recipe("simclr-paper", _TRANSFORMER), Cards(6.0))
    only_brain = load_recipe("mae-paper-large", ("objective.only_brain=true",))
    assert "accumulate" not in _text(only_brain, Cards(16.0))


def test_a_larger_share_of_masked_patches_costs_less() -> None:
    grid = model_shape(1.0)
    flops = [
        step_costs(
            load_recipe("mae-paper-large", (f"objective.mask_ratio={ratio}",)),
            TRANSFORMER_WAYS[0],
            grid,
        ).flops
        for ratio in (0.5, 0.75, 0.9)
    ]
    assert flops[0] > flops[1] > flops[2]


def test_every_line_but_those_to_paste_is_at_most_a_hundred_wide() -> None:
    for cards in (Cards(80.0), Cards(16.0), Cards(3.0)):
        lines = _text(load_recipe("mae-paper-large"), cards).splitlines()
        assert all(len(line) <= 100 for line in lines if "training." not in line)


@pytest.mark.parametrize("path", sorted(_RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_has_a_plan(path: Path) -> None:
    recipe = load_recipe(str(path))
    assert _fits(recipe)["bf16"].flops > 0
    assert "To paste" in _text(recipe, Cards(140.0, count=8))
