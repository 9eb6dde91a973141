"""Gradient caching gives the whole batch's gradient with group norm, and is refused without."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from neurofm.config.encoders import ResNetConfig
from neurofm.config.learning import TrainingConfig, ViewsConfig
from neurofm.config.objectives import SimCLRConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.data.batch import Batch
from neurofm.errors import ConfigError
from neurofm.models.encoder import build_encoder
from neurofm.models.projector import build_projector
from neurofm.objectives.simclr import SimCLR
from neurofm.training.objective import build_objective

_CONFIG = ResNetConfig(widths=(4, 8, 8, 16), norm="group", norm_groups=2)


def _batch(scans: int = 5) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, scans, 1, 17, 20, 24, generator=generator, dtype=torch.float64)
    masks = torch.ones(images[0].shape, dtype=torch.bool)
    rows = tuple(range(scans))
    views = [Batch(view, masks, rows, tuple("abcdefgh"[:scans]), 0) for view in images]
    return Batch(views[0].images, masks, rows, views[0].items, 0, views=tuple(views))


def _objective(config: ResNetConfig, gradient_cache: int | None) -> SimCLR:
    return SimCLR(
        build_encoder(config, 1),
        build_projector(16, 8, 1),
        SimCLRConfig(),
        views=ViewsConfig(),
        seed=0,
        spacing_mm=6.0,
        gradient_cache=gradient_cache,
    ).double()


def _gradient(config: ResNetConfig, gradient_cache: int | None) -> Tensor:
    objective = _objective(config, gradient_cache)
    objective(_batch()).total.backward()
    gradients = [each.grad for each in objective.parameters()]
    return torch.cat([each.flatten() for each in gradients if each is not None])


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_the_gradient_is_that_of_the_whole_batch(rows: int) -> None:
    expected, given = _gradient(_CONFIG, None), _gradient(_CONFIG, rows)
    assert float((given - expected).norm() / expected.norm()) < 1e-10


def test_with_batch_norm_it_would_be_another_gradient() -> None:
    config = ResNetConfig(widths=(4, 8, 8, 16))
    expected, given = _gradient(config, None), _gradient(config, 1)
    assert float((given - expected).norm() / expected.norm()) > 0.1


def test_projections_are_all_that_is_kept() -> None:
    kept = []
    for rows in (None, 1):
        sizes: dict[int, int] = {}

        def note(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            losses = _objective(_CONFIG, rows)(_batch())
        assert losses.total.requires_grad
        kept.append(sum(sizes.values()))
    assert kept[1] < 0.3 * kept[0]


def test_it_is_refused_for_batch_norm_in_one_line_with_the_reason() -> None:
    with pytest.raises(
        ConfigError, match=r"gradient_cache: batch norm .* another gradient"
    ) as told:
        check_recipe({"name": "x", "training": {"gradient_cache": 4}}, "a test")
    assert "\n" not in str(told.value)
    training = TrainingConfig(gradient_cache=4)
    with pytest.raises(ConfigError, match="encoder.norm=group"):
        build_objective(Recipe(name="x", training=training), 6.0)


def test_it_is_taken_for_group_norm() -> None:
    values = {"name": "x", "encoder": {"norm": "group"}, "training": {"gradient_cache": 4}}
    assert check_recipe(values, "a test").training.gradient_cache == 4


def test_accumulating_gradients_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"training.accumulate.* fewer negatives") as told:
        check_recipe({"name": "x", "training": {"accumulate": 4}}, "a test")
    assert "\n" not in str(told.value)


def test_groups_that_do_not_divide_a_width_are_refused() -> None:
    with pytest.raises(ConfigError, match="norm_groups has to divide"):
        check_recipe({"name": "x", "encoder": {"norm": "group", "norm_groups": 7}}, "a test")
