"""One step of learning: forward, backward, update; or none at all where a number is not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.data.batch import Batch
from neurofm.distributed import any_process
from neurofm.objectives.losses import Losses


@dataclass(frozen=True)
class Outcome:
    """What one step gave.

    Attributes:
        loss: the objective's total.
        parts: of the loss, by name.
        figures: of the features, by name.
        gradient_norm: Euclidean norm of the whole gradient.
        is_skipped: loss or gradient were not finite, or a scan was bad, so nothing was learnt.
    """

    loss: float
    parts: Mapping[str, float]
    figures: Mapping[str, float]
    gradient_norm: float
    is_skipped: bool


class Learner:
    """An objective and the optimiser of its parameters.

    Args:
        objective: a module from a `Batch` to `Losses`, on its device.
        optimizer: of its parameters.
        autocast: entered for the forward pass, such as `torch.autocast`.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.objective, self.optimizer = objective, optimizer
        self._autocast = autocast

    @property
    def device(self) -> torch.device:
        """Where the objective is."""
        return next(self.objective.parameters()).device

    def model_state(self) -> dict[str, Tensor]:
        """The objective's tensors by name, without the wrapper of several processes."""
        module = self.objective
        inner = module.module if isinstance(module, DistributedDataParallel) else module
        return dict(inner.state_dict())

    def learn_from(self, batch: Batch) -> Outcome:
        """One optimiser step on one batch, which is on the objective's device.

        Where the loss or the gradient is not finite, or the batch has a bad scan, weights,
        optimiser and batch norm statistics stay as they were, on every process if it happened on
        one.
        """
        statistics = [buffer.clone() for buffer in self.objective.buffers()]
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            losses: Losses = self.objective(batch)
        losses.total.backward()  # type: ignore[no-untyped-call]
        loss, gradient_norm = losses.total.item(), self._gradient_norm()
        is_sound = math.isfinite(loss) and math.isfinite(gradient_norm) and not batch.bad_scans
        is_skipped = any_process(not is_sound, losses.total.device)
        if is_skipped:
            for buffer, before in zip(self.objective.buffers(), statistics, strict=True):
                buffer.copy_(before)
        else:
            self.optimizer.step()
        parts = {name: part.item() for name, part in losses.parts.items()}
        return Outcome(loss, parts, losses.figures, gradient_norm, is_skipped)

    @property
    def learning_rate(self) -> float:
        """The optimiser's, which all parameters share."""
        return float(self.optimizer.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _gradient_norm(self) -> float:
        gradients = [p.grad for p in self.objective.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))
