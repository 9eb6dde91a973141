"""Precision and layout: what is computed in bf16 and what never is; defaults change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurofm.augment.views import make_views
from neurofm.config.encoders import ViTConfig
from neurofm.config.learning import TrainingConfig, ViewsConfig
from neurofm.config.recipe import Recipe, load_recipe, packaged_recipes
from neurofm.data.batch import Batch
from neurofm.models.weights import load_weights
from neurofm.store.reader import Store
from neurofm.training.fit import Manner, pretrain
from neurofm.training.learner import Learner
from neurofm.training.objective import build_objective
from neurofm.training.precision import (
    SLOW_BF16,
    apply_numerics,
    autocast,
    choose_numerics,
    numerics_record,
)
from neurofm.training.run_log import read_log
from neurofm.volumes.grids import model_shape

_CPU = torch.device("cpu")


# On CPUs without bf16 units torch 2.13 leaves gradients of a 3x3x3 convolution undefined where an
# axis has two voxels, as in the last stage at 6 mm.
_FINER_MM = 3.0


def _batch(spacing_mm: float = 6.0) -> Batch:
    generator, grid = torch.Generator().manual_seed(0), model_shape(spacing_mm)
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in grid], indexing="ij")
    masks = (sum((axis / 0.9).square() for axis in axes) < 1).expand(3, 1, *grid).clone()
    images = torch.where(masks, torch.randn(masks.shape, generator=generator), -12.0)
    return Batch(images, masks, (0, 1, 2), ("c/0", "c/1", "c/2"), 0)


def _trained(recipe: Recipe, **changes: Any) -> Recipe:
    training = recipe.training.model_copy(update=changes)
    return recipe.model_copy(update={"training": training})


def test_on_a_cpu_auto_is_float32_with_channels_first_and_nothing_to_warn_of() -> None:
    chosen = choose_numerics(TrainingConfig(), _CPU)
    assert (chosen.precision, chosen.channels_last, chosen.compile) == ("float32", False, False)
    assert chosen.warning == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_auto_is_channels_last() -> None:
    assert choose_numerics(TrainingConfig(), torch.device("cuda")).channels_last


@pytest.mark.parametrize(
    "name", [name for name in packaged_recipes() if name.startswith(("demo", "phantom", "real"))]
)
def test_recipes_for_machines_without_a_gpu_ask_for_channels_last(name: str) -> None:
    assert choose_numerics(load_recipe(name).training, _CPU).channels_last


def test_bf16_asked_for_on_a_cpu_is_allowed_with_a_warning() -> None:
    chosen = choose_numerics(TrainingConfig(precision="bf16"), _CPU)
    assert chosen.precision == "bf16"
    assert "slower than float32" in chosen.warning


@pytest.mark.parametrize(("asked", "channel_stride"), [("auto", 27), (True, 1), (False, 27)])
def test_layout_follows_the_recipe(recipe: Recipe, asked: Any, channel_stride: int) -> None:
    objective = build_objective(recipe, 6.0)
    chosen = choose_numerics(TrainingConfig(channels_last=asked), _CPU)
    apply_numerics(objective, objective.encoder, chosen)
    weights = dict(objective.named_parameters())["encoder.layer1.0.conv1.weight"]
    assert weights.stride(1) == channel_stride


def test_tf32_is_set_as_the_recipe_says_and_matrix_products_stay_float32(recipe: Recipe) -> None:
    before = torch.backends.cudnn.allow_tf32
    objective = build_objective(recipe, 6.0)
    for asked in (False, True):
        chosen = choose_numerics(TrainingConfig(tf32=asked), _CPU)
        apply_numerics(objective, objective.encoder, chosen)
        assert torch.backends.cudnn.allow_tf32 is asked
        assert torch.backends.cuda.matmul.allow_tf32 is False
    torch.backends.cudnn.allow_tf32 = before


def _dtypes_of_a_bf16_step(recipe: Recipe) -> tuple[dict[str, torch.dtype], Learner, float]:
    objective = build_objective(recipe, _FINER_MM)
    chosen = choose_numerics(TrainingConfig(precision="bf16"), _CPU)
    apply_numerics(objective, objective.encoder, chosen)
    seen: dict[str, torch.dtype] = {}

    def look(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = output.dtype

        return hook

    for name, module in objective.named_modules():
        if isinstance(module, nn.Conv3d | nn.Linear):
            module.register_forward_hook(look(name))
    optimizer = torch.optim.Adam(objective.parameters())
    learner = Learner(objective, optimizer, lambda: autocast(chosen, _CPU))
    return seen, learner, learner.learn_from(_batch(_FINER_MM)).loss


def test_in_bf16_the_encoder_is_bf16_and_weights_optimiser_and_statistics_are_float32(
    recipe: Recipe,
) -> None:
    seen, learner, loss = _dtypes_of_a_bf16_step(recipe)
    assert len(seen) == 22
    assert set(seen.values()) == {torch.bfloat16}
    kept = [*learner.objective.parameters(), *learner.objective.buffers()]
    kept += [parameter.grad for parameter in learner.objective.parameters()]
    kept += [each for state in learner.optimizer.state.values() for each in state.values()]
    assert {each.dtype for each in kept if each.is_floating_point()} == {torch.float32}
    assert loss != float(torch.tensor(loss).bfloat16())  # has digits that bf16 has not


def test_a_bf16_step_is_a_float32_step_to_bf16s_digits(recipe: Recipe) -> None:
    _, learner, loss = _dtypes_of_a_bf16_step(recipe)
    exact = build_objective(recipe, _FINER_MM)
    expected = Learner(exact, torch.optim.Adam(exact.parameters())).learn_from(_batch(_FINER_MM))
    assert loss == pytest.approx(expected.loss, rel=2e-2)
    pairs = zip(learner.objective.parameters(), exact.parameters(), strict=True)
    given, wanted = (
        torch.cat([each.flatten() for each in side])
        for side in zip(*[(a.grad, b.grad) for a, b in pairs], strict=True)  # type: ignore[union-attr]
    )
    assert torch.cosine_similarity(given, wanted, dim=0) > 0.9  # batch norm over three tiny scans


def test_views_made_under_autocast_are_the_same_bit_for_bit() -> None:
    views = ViewsConfig(rotation_probability=1.0, gamma_probability=1.0)
    plain = make_views(_batch(), views, 0, 0, 6.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = make_views(_batch(), views, 0, 0, 6.0)
    assert torch.equal(plain.images, under.images)
    assert torch.equal(plain.masks, under.masks)


def test_a_run_records_what_auto_came_to(recipe: Recipe, store: Store, tmp_path: Path) -> None:
    short = _trained(recipe, epochs=1)
    pretrain(short, store, tmp_path / "run", _CPU)
    record = json.loads((tmp_path / "run" / "software.json").read_text())
    expected = numerics_record(choose_numerics(short.training, _CPU), _CPU)
    assert expected["precision"] == "float32"
    assert expected.items() <= record.items()
    assert expected.items() <= load_weights(tmp_path / "run").card.software.items()


def test_a_run_in_bf16_on_a_cpu_learns_and_says_that_it_is_slow(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    lines: list[str] = []
    # convolutions on so coarse a grid may have undefined gradients (docs/training.md)
    vit = ViTConfig(width=24, depth=1, heads=3, patch_voxels=(5, 8, 8))
    slow = _trained(recipe, epochs=1, precision="bf16").model_copy(update={"encoder": vit})
    pretrain(slow, store, tmp_path / "run", _CPU, how=Manner(tell=lines.append))
    assert SLOW_BF16 in lines
    assert all(row["gradient_norm"] > 0 for row in read_log(tmp_path / "run"))


def test_a_run_that_goes_on_in_another_precision_says_so(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    lines: list[str] = []
    pretrain(_trained(recipe, epochs=1), store, tmp_path / "run", _CPU)
    (tmp_path / "run" / "card.json").unlink()
    software = tmp_path / "run" / "software.json"
    software.write_text(software.read_text().replace("float32", "bf16"))
    how = Manner(tell=lines.append)
    pretrain(_trained(recipe, epochs=1), store, tmp_path / "run", _CPU, how=how)
    said = [line for line in lines if "began otherwise" in line]
    assert len(said) == 1
    assert "precision was bf16 and is now float32" in said[0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_encoder_keeps_its_names(recipe: Recipe) -> None:
    objective = build_objective(recipe, 6.0)
    before = list(objective.state_dict())
    chosen = choose_numerics(TrainingConfig(compile=True), _CPU)
    apply_numerics(objective, objective.encoder, chosen)
    assert list(objective.state_dict()) == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_run_learns_what_a_plain_one_learns(
    recipe: Recipe, store: Store, tmp_path: Path
) -> None:
    losses = []
    for compiled in (False, True):
        folder = tmp_path / f"compiled-{compiled}"
        pretrain(_trained(recipe, epochs=1, compile=compiled), store, folder, _CPU)
        losses.append([row["loss"] for row in read_log(folder)])
        names = load_weights(folder).state
        assert not [name for name in names if "_orig_mod" in name]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
