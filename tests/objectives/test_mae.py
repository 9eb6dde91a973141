"""The masked autoencoder: its masks, its loss, and what each patch may know."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from neurofm.config.encoders import ViTConfig
from neurofm.config.learning import ViewsConfig
from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe
from neurofm.data.batch import Batch
from neurofm.models.mae_decoder import MAEDecoder
from neurofm.models.patches import patchify
from neurofm.objectives.mae import MAE
from neurofm.objectives.masking import draw_masking, masked_count
from neurofm.training.objective import build_objective

_ENCODER = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 8, 8))
_DECODER: dict[str, Any] = {"decoder_width": 18, "decoder_depth": 1, "decoder_heads": 3}
_STILL = ViewsConfig(
    min_crop_mm=(150, 192, 192),
    flip_probability=0,
    rotation_probability=0,
    intensity_shift_probability=0,
    gamma_probability=0,
)


def _mae(**knobs: Any) -> MAE:
    config = MAEConfig(**_DECODER | knobs)
    recipe = Recipe(name="x", encoder=_ENCODER, objective=config, views=_STILL)
    objective = build_objective(recipe, 6.0).double()
    assert isinstance(objective, MAE)
    return objective


def _batch(step: int = 1, count: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(count, 1, 25, 32, 32, generator=generator, dtype=torch.float64)
    masks = torch.zeros(count, 1, 25, 32, 32, dtype=torch.bool)
    masks[:, :, 4:20, 6:25, 7:26] = True
    return Batch(images, masks, tuple(range(count)), tuple(f"c/p{i}" for i in range(count)), 0,
                 step=step)  # fmt: skip


def _views(batch: Batch) -> Batch:
    from neurofm.augment.views import make_views

    return make_views(batch, _STILL, 0, 0, 6.0)


def test_of_864_patches_216_stay_visible() -> None:
    drawn = draw_masking(("a", "b"), 864, 0.75, seed=0, step=1)
    assert drawn.kept.shape == (2, 216)
    assert drawn.masked.shape == (2, 648)
    for row in range(2):
        together = torch.cat([drawn.kept[row], drawn.masked[row]]).sort().values
        assert torch.equal(together, torch.arange(864))


@pytest.mark.parametrize(("ratio", "count"), [(0.75, 48), (0.999, 63), (0.001, 1), (0.5, 32)])
def test_something_is_masked_and_something_kept(ratio: float, count: int) -> None:
    assert masked_count(64, ratio) == count


def test_masks_follow_seed_step_and_item_and_nothing_else() -> None:
    def masked(item: str, seed: int = 0, step: int = 1, among: tuple[str, ...] = ()) -> list[int]:
        drawn = draw_masking((*among, item), 64, 0.75, seed, step)
        return [int(each) for each in drawn.masked[-1]]

    assert masked("a") == masked("a", among=("b", "c"))
    assert len({tuple(masked(*each)) for each in [("a",), ("b",), ("a", 1), ("a", 0, 2)]}) == 4


def test_over_many_steps_every_patch_is_masked_equally_often() -> None:
    times = torch.zeros(64)
    for step in range(2000):
        times[draw_masking(("a",), 64, 0.75, 0, step).masked[0]] += 1
    assert float(times.mean()) == 1500
    assert bool(((times - 1500).abs() < 5 * (2000 * 0.75 * 0.25) ** 0.5).all())


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("only_brain", [False, True])
def test_the_loss_is_equation_2_patch_by_patch(normalise: bool, only_brain: bool) -> None:
    objective = _mae(normalise_patches=normalise, only_brain=only_brain)
    batch, views = _batch(), _views(_batch())
    with torch.no_grad():
        made = objective.reconstruct(views.images, batch.items, batch.step)
        loss = float(objective(batch).total)
    squared, patches = 0.0, 0
    for row in range(3):
        for place, number in enumerate(made.masking.masked[row].tolist()):
            z, y, x = number // 16, number // 4 % 4, number % 4
            box = (slice(5 * z, 5 * z + 5), slice(8 * y, 8 * y + 8), slice(8 * x, 8 * x + 8))
            if only_brain and not views.masks[row, 0][box].any():
                continue
            target = views.images[row, 0][box].flatten()
            if normalise:
                target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
            squared += float(((made.predicted[row, place] - target) ** 2).sum())
            patches += 1
    voxels = 5 * 8 * 8
    assert loss == pytest.approx(squared / patches / voxels, rel=1e-10)


def test_both_errors_are_told_whatever_is_learnt_from() -> None:
    whole, brain = (_mae(only_brain=each)(_batch()) for each in (False, True))
    assert whole.figures["mse_brain_patches"] == brain.figures["mse_brain_patches"]
    assert whole.figures["mse_all_patches"] == pytest.approx(whole.total.item())
    assert brain.figures["mse_brain_patches"] == pytest.approx(brain.total.item())
    assert whole.total.item() != pytest.approx(brain.total.item())


def test_visible_patches_have_no_gradient_from_the_loss_as_targets() -> None:
    objective = _mae()
    views = _views(_batch())
    patches = patchify(views.images, (5, 8, 8)).requires_grad_()
    made = objective.reconstruct(views.images, views.items, 1)
    held = type(made)(made.masking, patches, made.predicted.detach(), made.features)
    objective._errors(held).sum().backward()
    assert patches.grad is not None
    for row in range(3):
        assert not patches.grad[row][made.masking.kept[row]].any()
        assert bool(patches.grad[row][made.masking.masked[row]].any(dim=1).all())


def test_masked_voxels_cannot_change_what_is_predicted() -> None:
    objective, views = _mae().eval(), _views(_batch())
    made = objective.reconstruct(views.images, views.items, 1)
    for row in range(3):
        for number in made.masking.masked[row].tolist():
            z, y, x = number // 16, number // 4 % 4, number % 4
            views.images[row, 0, 5 * z : 5 * z + 5, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = 1e6
    assert torch.equal(
        objective.reconstruct(views.images, views.items, 1).predicted, made.predicted
    )


def test_a_prediction_knows_where_its_patch_lies() -> None:
    objective, views = _mae().eval(), _views(_batch())
    made = objective.reconstruct(views.images, views.items, 1)
    predicted = made.predicted[0]
    assert not torch.allclose(predicted[0], predicted[1])


def test_the_decoder_has_the_weights_of_its_architecture() -> None:
    config, encoder = MAEConfig(), ViTConfig()
    with torch.device("meta"):
        decoder = MAEDecoder(config, encoder, (6, 12, 12))
    width, voxels = 512, 25 * 16 * 16
    block = 12 * width**2 + 13 * width
    expected = (192 * width + width) + width + 8 * block + 2 * width + (width * voxels + voxels)
    assert sum(each.numel() for each in decoder.parameters()) == expected


def test_every_weight_is_learnt() -> None:
    objective = _mae()
    objective(_batch()).total.backward()
    assert [name for name, each in objective.named_parameters() if each.grad is None] == []
