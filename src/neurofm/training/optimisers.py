"""The optimiser a recipe names, over the parameters of a module."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import nn

from neurofm.config.learning import TrainingConfig
from neurofm.training.lars import LARS

FACTOR = "factor"  # of a group of parameters: its learning rate relative to the schedule's
_ALL_ALIKE: Mapping[nn.Parameter, float] = MappingProxyType({})


def build_optimizer(
    module: nn.Module, config: TrainingConfig, factors: Mapping[nn.Parameter, float] = _ALL_ALIKE
) -> torch.optim.Optimizer:
    """The recipe's optimiser.

    Adam treats all parameters alike, as in the paper. AdamW and LARS leave biases and the scales
    of norms (all tensors with one axis) without decay, and LARS gives them the plain rate.

    Args:
        module: whose parameters.
        config: which optimiser, with its rates and decay.
        factors: of parameters whose learning rate is not the schedule's. Each factor becomes a
            group with that factor beside its rate; empty leaves the groups as they are.
    """
    optimizer = _plain(module, config)
    if factors:
        _divide_groups(optimizer, factors)
    return optimizer


def _plain(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "adam":
        return torch.optim.Adam(
            module.parameters(), lr=rate, betas=config.betas, weight_decay=decay
        )
    weights = [each for each in module.parameters() if each.ndim > 1]
    others = [each for each in module.parameters() if each.ndim <= 1]
    if config.optimizer == "adamw":
        groups = [
            {"params": weights, "weight_decay": decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=rate, betas=config.betas)
    return LARS(
        weights,
        others,
        lr=rate,
        momentum=config.momentum,
        weight_decay=decay,
        trust_coefficient=config.trust_coefficient,
    )


def _divide_groups(optimizer: torch.optim.Optimizer, factors: Mapping[nn.Parameter, float]) -> None:
    """Let every group of parameters, in place, have one factor; all else of a group stays."""
    groups = list(optimizer.param_groups)
    optimizer.param_groups.clear()
    for group in groups:
        with_factor: dict[float, list[nn.Parameter]] = {}
        for each in group["params"]:
            with_factor.setdefault(factors.get(each, 1.0), []).append(each)
        for factor, parameters in with_factor.items():
            rate = group["lr"] * factor
            divided = {"params": parameters, "lr": rate, FACTOR: factor}
            optimizer.add_param_group(group | divided)
