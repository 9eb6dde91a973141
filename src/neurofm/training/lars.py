"""LARS: each layer takes a step in proportion to the size of its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017, algorithm 1).

    For weights w with gradient g: v <- momentum * v + lr * ratio * (g + weight_decay * w) and
    w <- w - v, with ratio = trust_coefficient * |w| / (|g| + weight_decay * |w|), and 1 where
    either norm is 0.

    Args:
        weights: adapted and decayed.
        others: biases and norms; plain momentum, ratio 1, no decay.
        lr: learning rate, the same for both.
        momentum: from 0 to below 1.
        weight_decay: of `weights`.
        trust_coefficient: a layer's step relative to its weights, at lr 1.
    """

    def __init__(
        self,
        weights: Sequence[nn.Parameter],
        others: Sequence[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ) -> None:
        groups = [
            {"params": list(weights), "weight_decay": weight_decay, "is_adapted": True},
            {"params": list(others), "weight_decay": 0.0, "is_adapted": False},
        ]
        shared = {"lr": lr, "momentum": momentum, "trust_coefficient": trust_coefficient}
        super().__init__([group for group in groups if group["params"]], shared)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        ratio = _ratio(parameter, gradient, group) if group["is_adapted"] else 1.0
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        pull = (gradient + group["weight_decay"] * parameter) * (group["lr"] * ratio)
        state["velocity"].mul_(group["momentum"]).add_(pull)
        parameter.sub_(state["velocity"])


def _ratio(parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    size, slope = parameter.norm(), gradient.norm()
    ratio = group["trust_coefficient"] * size / (slope + group["weight_decay"] * size)
    return torch.where((size > 0) & (slope > 0), ratio, torch.ones_like(ratio))
