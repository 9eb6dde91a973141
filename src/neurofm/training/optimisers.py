"""The optimiser a recipe names, over the parameters of a module."""

from __future__ import annotations

import torch
from torch import nn

from neurofm.config.learning import TrainingConfig
from neurofm.training.lars import LARS


def build_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The recipe's optimiser.

    Adam treats all parameters alike, as in the paper. AdamW and LARS leave biases and the scales
    of norms (all tensors with one axis) without decay, and LARS gives them the plain rate.
    """
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
