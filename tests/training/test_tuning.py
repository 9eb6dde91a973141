"""What is frozen stays frozen, and each layer learns at its own rate."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from neurofm.config.encoders import EncoderConfig, ResNetConfig, ViTConfig
from neurofm.config.learning import TrainingConfig, ViewsConfig
from neurofm.config.tuning import TuningConfig
from neurofm.data.batch import Batch
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.head import HeadCard, build_head
from neurofm.objectives.supervised import Supervised
from neurofm.training.learner import Learner
from neurofm.training.optimisers import build_optimizer
from neurofm.training.tuning import apply_tuning, layer_factors, layers_of

_VIT = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 8, 8))
_RESNET = ResNetConfig(widths=(4, 8, 8, 16), stem_stride=2)
_NOTHING = Saving()
_KINDS = pytest.mark.parametrize("kind", ["adam", "adamw", "lars"])
_TASK = HeadCard(target="age_years", kind="regression", mean=40.0, spread=10.0)


def _objective(encoder: EncoderConfig, saving: Saving = _NOTHING, **tuning: Any) -> Supervised:
    objective = Supervised(
        build_encoder(encoder, 0, saving, spacing_mm=6.0),
        build_head(encoder.features, 1, 0),
        _TASK,
        values={row: 30.0 + row for row in range(8)},
        class_weights=(),
        views=ViewsConfig(),
        seed=0,
        spacing_mm=6.0,
    )
    apply_tuning(objective, TuningConfig(**tuning), seed=0)
    return objective


def _batch(number: int) -> Batch:
    generator = torch.Generator().manual_seed(number)
    images = torch.randn(4, 1, 25, 32, 32, generator=generator)
    masks = torch.ones_like(images, dtype=torch.bool)
    view = Batch(images, masks, tuple(range(4)), tuple("abcd"), 0)
    return Batch(images, masks, view.rows, view.items, 0, views=(view,))


def _learner(objective: Supervised, decay: float, kind: str = "adamw") -> Learner:
    config = TrainingConfig.model_validate({"optimizer": kind, "weight_decay": 0.05})
    return Learner(objective, build_optimizer(objective, config, layer_factors(objective, decay)))


def _rates(learner: Learner, objective: Supervised) -> dict[str, float]:
    names = {each: name for name, each in objective.named_parameters()}
    groups = learner.optimizer.param_groups
    return {names[each]: group["lr"] for group in groups for each in group["params"]}


@_KINDS
def test_each_layer_has_the_rate_of_the_next_one_times_the_decay(kind: str) -> None:
    objective = _objective(_VIT)
    learner = _learner(objective, 0.5, kind)
    learner.learning_rate = 0.8
    rates = _rates(learner, objective)
    assert len(rates) == len(list(objective.parameters()))
    expected = {"embed": 0.1, "class_token": 0.1, "blocks.0": 0.2, "blocks.1": 0.4, "norm": 0.8}
    for name, rate in rates.items():
        layer = name.removeprefix("encoder.")
        of_layer = [value for start, value in expected.items() if layer.startswith(start)]
        assert rate == pytest.approx(of_layer[0] if name.startswith("encoder.") else 0.8), name
    assert learner.learning_rate == 0.8


def test_the_layers_of_a_resnet_are_its_stem_and_its_blocks() -> None:
    objective = _objective(_RESNET)
    learner = _learner(objective, 0.5)
    learner.learning_rate = 1.0
    rates = _rates(learner, objective)
    assert rates["encoder.layer4.1.conv2.weight"] == 0.5
    assert rates["encoder.layer4.0.downsample.0.bias"] == 0.25
    assert rates["encoder.conv1.weight"] == rates["encoder.bn1.bias"] == 0.5**9
    assert rates["head.weight"] == 1


def test_adamw_spares_biases_and_norms_at_every_rate() -> None:
    objective = _objective(_VIT)
    for group in _learner(objective, 0.5).optimizer.param_groups:
        assert group["weight_decay"] == (0.05 if group["params"][0].ndim > 1 else 0)
        assert len({each.ndim > 1 for each in group["params"]}) == 1


@pytest.mark.parametrize("encoder", [_VIT, _RESNET])
def test_every_parameter_belongs_to_one_layer(encoder: EncoderConfig) -> None:
    objective = _objective(encoder)
    parts = [part for layer in layers_of(objective.encoder) for part in layer]
    owned = [
        each
        for part in parts
        for each in (part.parameters() if isinstance(part, nn.Module) else [part])
    ]
    assert len(owned) == len(set(owned))
    assert set(owned) == set(objective.encoder.parameters())


@_KINDS
def test_without_a_decay_the_weights_are_bit_for_bit_those_of_one_rate(kind: str) -> None:
    learners = []
    for is_divided in (False, True):
        objective = _objective(_VIT)
        config = TrainingConfig.model_validate({"optimizer": kind, "weight_decay": 0.05})
        factors = dict.fromkeys(objective.encoder.parameters(), 1.0) if is_divided else {}
        learners.append(Learner(objective, build_optimizer(objective, config, factors)))
        assert not layer_factors(objective, 1.0)
        for step in range(3):
            learners[-1].learning_rate = 1e-3 / (step + 1)
            learners[-1].learn_from(_batch(step))
    one, other = (learner.model_state() for learner in learners)
    assert all(torch.equal(one[name], other[name]) for name in one)


@_KINDS
def test_an_optimiser_with_a_decay_goes_on_from_its_saved_state(kind: str) -> None:
    whole = _learner(_objective(_VIT), 0.5, kind)
    for step in range(4):
        if step == 2:
            model = copy.deepcopy(whole.model_state())
            optimizer = copy.deepcopy(whole.optimizer.state_dict())
        whole.learning_rate = 1e-3 / (step + 1)
        whole.learn_from(_batch(step))
    half = _learner(_objective(_VIT), 0.5, kind)
    half.objective.load_state_dict(model)
    half.optimizer.load_state_dict(optimizer)
    for step in range(2, 4):
        half.learning_rate = 1e-3 / (step + 1)
        half.learn_from(_batch(step))
    one, other = whole.model_state(), half.model_state()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_frozen_batch_norm_stays_frozen_where_several_processes_share_it() -> None:
    objective = _objective(_RESNET, trained="last", last_blocks=1)
    synchronise_batch_norm(objective, torch.device("cpu"))
    objective.eval()
    objective.train()
    training = {
        name.split(".")[1]
        for name, each in objective.named_modules()
        if isinstance(each, nn.BatchNorm3d) and each.training
    }
    assert training == {"layer4"}
    assert not objective.encoder.bn1.training  # type: ignore[union-attr]


@pytest.mark.parametrize("trained", ["last", "lora"])
def test_frozen_layers_are_the_same_where_they_are_computed_twice(trained: str) -> None:
    plain, frugal = (
        _objective(_RESNET, saving, trained=trained)
        for saving in (Saving(), Saving(stem=True, blocks=True))
    )
    for each in (plain, frugal):
        each.double()
        batch = _batch(0)
        view = Batch(batch.images.double(), batch.masks, batch.rows, batch.items, 0)
        each(
            Batch(view.images, view.masks, view.rows, view.items, 0, views=(view,))
        ).total.backward()
    gradients = [
        {name: p.grad for name, p in each.named_parameters() if p.grad is not None}
        for each in (plain, frugal)
    ]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-9, atol=1e-12)
    for one, other in zip(plain.buffers(), frugal.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
