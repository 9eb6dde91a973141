"""Optimisers against slow float64 versions of their formulas."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from neurofm.config.learning import TrainingConfig
from neurofm.training.optimisers import build_optimizer

_RATE, _DECAY, _MOMENTUM, _TRUST = 0.5, 0.01, 0.8, 0.02


def _network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 3, 2), nn.BatchNorm3d(3), nn.Flatten(), nn.Linear(24, 2))
    return network.double()


def _gradients(network: nn.Module, step: int) -> None:
    """Set gradients that depend on the step alone."""
    for number, parameter in enumerate(network.parameters()):
        draw = np.random.default_rng([step, number]).normal(size=tuple(parameter.shape))
        parameter.grad = torch.from_numpy(draw)


def _config(**values: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"learning_rate": _RATE, "weight_decay": _DECAY} | values)


def _slow_lars(w: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    """You, Gitman and Ginsburg 2017, algorithm 1, for one layer."""
    v = np.zeros_like(w)
    for g in gradients:
        if w.ndim > 1:
            norm_w, norm_g = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
            local = _TRUST * norm_w / (norm_g + _DECAY * norm_w)
            v = _MOMENTUM * v + _RATE * local * (g + _DECAY * w)
        else:
            v = _MOMENTUM * v + _RATE * g
        w = w - v
    return w


def test_lars_follows_its_formula_and_spares_biases_and_norms() -> None:
    network = _network()
    before = [p.detach().numpy().copy() for p in network.parameters()]
    config = _config(optimizer="lars", momentum=_MOMENTUM, trust_coefficient=_TRUST)
    optimizer = build_optimizer(network, config)
    seen: list[list[np.ndarray]] = [[] for _ in before]
    for step in range(5):
        _gradients(network, step)
        for number, parameter in enumerate(network.parameters()):
            assert parameter.grad is not None
            seen[number].append(parameter.grad.numpy().copy())
        optimizer.step()
    for start, gradients, parameter in zip(before, seen, network.parameters(), strict=True):
        expected = _slow_lars(start, gradients)
        np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-12, atol=1e-14)


def test_lars_takes_the_plain_rate_where_a_layer_is_zero() -> None:
    layer = nn.Linear(2, 2, bias=False).double()
    nn.init.zeros_(layer.weight)
    optimizer = build_optimizer(layer, _config(optimizer="lars"))
    layer.weight.grad = torch.ones(2, 2, dtype=torch.float64)
    optimizer.step()
    assert torch.equal(layer.weight.detach(), torch.full((2, 2), -_RATE, dtype=torch.float64))


def test_adam_is_the_papers() -> None:
    networks = [_network(), _network()]
    optimizers = [
        build_optimizer(networks[0], TrainingConfig()),
        torch.optim.Adam(networks[1].parameters(), lr=3e-4),
    ]
    for step in range(3):
        for network, optimizer in zip(networks, optimizers, strict=True):
            _gradients(network, step)
            optimizer.step()
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.equal(one, other)


def test_adamw_decays_weights_only() -> None:
    network = _network()
    before = [p.detach().clone() for p in network.parameters()]
    optimizer = build_optimizer(network, _config(optimizer="adamw"))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for start, parameter in zip(before, network.parameters(), strict=True):
        factor = 1 - _RATE * _DECAY if start.ndim > 1 else 1
        torch.testing.assert_close(parameter.detach(), start * factor, rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", ["adam", "adamw", "lars"])
def test_an_optimiser_goes_on_from_its_saved_state(kind: str) -> None:
    config = _config(optimizer=kind)
    whole = _network()
    optimizer = build_optimizer(whole, config)
    for step in range(6):
        _gradients(whole, step)
        optimizer.step()
        if step == 2:
            half, state = copy.deepcopy(whole), copy.deepcopy(optimizer.state_dict())
    other = build_optimizer(half, config)
    other.load_state_dict(state)
    for step in range(3, 6):
        _gradients(half, step)
        other.step()
    for one, two in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.equal(one, two)
