"""A plan agrees with the arithmetic it was made for, and its overrides are ones a recipe takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from neurofm.config.recipe import Recipe, load_recipe
from neurofm.data.batch import Batch
from neurofm.models.encoder import build_encoder
from neurofm.reports.plan_text import plan_lines
from neurofm.training.costs import step_costs
from neurofm.training.objective import build_objective
from neurofm.training.planning import Cards, Fit, best_fit, plan
from neurofm.training.ways import CACHED_WAYS, RESNET_WAYS, TRANSFORMER_WAYS, Way
from neurofm.volumes.grids import model_shape

_PARTICIPANTS = 18_759
_SMALL_MAE = (
    "store.spacing_mm=6",
    "encoder.width=48",
    "encoder.depth=3",
    "encoder.patch_voxels=[5, 4, 4]",
    "objective.decoder_width=32",
    "objective.decoder_depth=2",
)
_SMALL = ("store.spacing_mm=6", "encoder.widths=[8, 16, 16, 32]")


def _fits(cards: Cards, *overrides: str) -> dict[str, Fit]:
    found = plan(load_recipe("simclr-paper", overrides), cards, _PARTICIPANTS)
    return {fit.way.name: fit for fit in found}


def _text(cards: Cards, *overrides: str) -> str:
    recipe = load_recipe("simclr-paper", overrides)
    fits = plan(recipe, cards, _PARTICIPANTS)
    return "\n".join(plan_lines(recipe, cards, _PARTICIPANTS, fits))


def test_an_80_gb_card_holds_six_participants_in_float32_as_the_paper_had() -> None:
    fits = _fits(Cards(80.0))
    assert fits["float32"].per_card == 6
    assert 11 <= fits["bf16"].per_card <= 13


def test_twelve_cards_hold_the_papers_batch_in_float32() -> None:
    assert _fits(Cards(80.0, count=12))["float32"].fits
    assert not _fits(Cards(80.0, count=9))["float32"].fits


def test_the_hours_are_those_of_the_flops() -> None:
    paces = {pace.utilisation: pace for pace in _fits(Cards(80.0))["bf16"].paces}
    assert paces[0.40].hours == pytest.approx(18.4, abs=0.1)
    assert paces[0.10].hours == pytest.approx(73.5, abs=0.3)
    assert paces[0.40].participants_per_second == pytest.approx(42.5, abs=0.1)
    assert paces[0.10].step_seconds == pytest.approx(72 * 2 * 3762e9 / 80e12, rel=1e-3)


def test_full_float32_is_slower_than_tf32_and_tf32_slower_than_bf16() -> None:
    cards = Cards(80.0)
    exact = _fits(cards, "training.tf32=false")["float32"].paces[0].hours
    rounded, half = (_fits(cards)[name].paces[0].hours for name in ("float32", "bf16"))
    assert exact > 7 * rounded > 7 * half


def test_every_override_is_one_the_recipe_takes() -> None:
    for way in RESNET_WAYS + CACHED_WAYS:
        norm = "encoder.norm=group" if way.cached else "encoder.norm=batch"
        recipe = load_recipe("simclr-paper", (norm, *way.overrides))
        assert recipe.training.precision == way.precision


class _Operations(TorchDispatchMode):
    """Counts as `FlopCounterMode` does; that one's hooks forbid a backward pass in another."""

    total = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), others: Any = None
    ) -> Any:
        result = function(*arguments, **(others or {}))
        count = flop_registry.get(function.overloadpacket)
        if count:
            self.total += count(*arguments, **(others or {}), out_val=result)
        return result


def _counted(recipe: Recipe, way: Way) -> int:
    """Operations of one view's step, computed so."""
    encoder = build_encoder(recipe.encoder, saving=way.saving)
    images = torch.randn(2, 1, *model_shape(recipe.store.spacing_mm))
    with _Operations() as counter:
        encoder(images).sum().backward()
    return counter.total // 2


@pytest.mark.parametrize("way", RESNET_WAYS, ids=lambda way: way.name)
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_what_is_computed_twice_is_what_torch_counts(way: Way, norm: str) -> None:
    recipe = load_recipe("simclr-paper", (f"encoder.norm={norm}", *_SMALL))
    fits = {fit.way: fit for fit in plan(recipe, Cards(80.0), _PARTICIPANTS)}
    assert fits[way].flops == pytest.approx(2 * _counted(recipe, way), rel=1e-6)


@pytest.mark.parametrize("is_frugal", [False, True])
def test_what_a_masked_autoencoder_computes_twice_is_what_torch_counts(is_frugal: bool) -> None:
    word = str(is_frugal).lower()
    recipe = load_recipe("mae-paper-tiny", (*_SMALL_MAE, f"training.checkpoint_blocks={word}"))
    ways = [each for each in TRANSFORMER_WAYS if each.saving.blocks == is_frugal]
    flops = {step_costs(recipe, way, (25, 32, 32)).flops for way in ways}
    objective, masks = build_objective(recipe, 6.0), torch.ones(1, 1, 25, 32, 32).bool()
    batch = Batch(torch.randn(1, 1, 25, 32, 32), masks, (0,), ("phantom/0",), 0)
    # torch counts attention only where it is computed the plain way
    with sdpa_kernel(SDPBackend.MATH), _Operations() as counter:
        objective(batch).total.backward()
    assert flops == {counter.total}


def test_group_norm_allows_gradient_caching_and_batch_norm_does_not() -> None:
    cached = {name for name in _fits(Cards(80.0), "encoder.norm=group") if "caching" in name}
    assert len(cached) == 2
    assert all(_fits(Cards(80.0), "encoder.norm=group")[name].fits_paper for name in cached)
    assert not any("caching" in name for name in _fits(Cards(80.0)))
    assert "is not offered" in _text(Cards(80.0))
    assert "is not offered" not in _text(Cards(80.0), "encoder.norm=group")


def test_the_papers_batch_fits_one_80_gb_card_only_with_stem_and_blocks_in_bf16() -> None:
    fits = _fits(Cards(80.0))
    assert [name for name, fit in fits.items() if fit.fits_paper] == ["bf16, stem and blocks"]
    assert 60 < fits["bf16, stem and blocks"].needed_bytes / 2**30 < 70


def test_the_quickest_way_that_fits_is_the_one_to_paste() -> None:
    fits = plan(load_recipe("simclr-paper"), Cards(80.0, count=12), _PARTICIPANTS)
    best = best_fit(fits)
    assert best is not None
    assert best.fits
    assert best.paces[0].hours == min(fit.paces[0].hours for fit in fits if fit.fits)
    text = _text(Cards(80.0, count=12))
    assert f"neurofm pretrain simclr-paper {' '.join(best.way.overrides)}" in text


def test_a_card_that_is_too_small_is_told_how_many_would_do() -> None:
    text = _text(Cards(24.0))
    assert "A batch of 72 does not fit" in text
    assert "such cards" in text
    assert "training.batch_size=" in text


def test_a_card_without_room_for_anybody_says_what_to_do() -> None:
    assert "larger store.spacing_mm" in _text(Cards(3.0))


def test_processes_that_cannot_share_the_batch_are_told() -> None:
    assert "cannot share a batch of 72 evenly" in _text(Cards(80.0, count=25))


def test_every_line_but_the_one_to_paste_is_at_most_a_hundred_wide() -> None:
    for cards in (Cards(80.0), Cards(80.0, count=12)):
        lines = _text(cards).splitlines()
        assert all(len(line) <= 100 for line in lines if "training." not in line)
