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
from neurofm.models.lora import merged_state
from neurofm.objectives.losses import Losses, mean_of_parts
from neurofm.training.optimisers import FACTOR


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
        parts: equal parts of a batch whose gradients are added up, one in memory at a time. Above
            1 only for a loss that is a mean over the rows of a batch.
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        parts: int = 1,
    ) -> None:
        self.objective, self.optimizer = objective, optimizer
        self._autocast, self._parts = autocast, parts

    @property
    def device(self) -> torch.device:
        """Where the objective is."""
        return next(self.objective.parameters()).device

    def model_state(self) -> dict[str, Tensor]:
        """The objective's tensors by name, without the wrapper of several processes."""
        return dict(self._inner.state_dict())

    def plain_state(self) -> dict[str, Tensor]:
        """The same with the names of a plain encoder: adapters are merged into its layers."""
        return merged_state(self._inner)

    def learn_from(self, batch: Batch) -> Outcome:
        """One optimiser step on one batch, which is on the objective's device.

        Where the loss or the gradient is not finite, or the batch has a bad scan, weights,
        optimiser and batch norm statistics stay as they were, on every process if it happened on
        one.
        """
        statistics = [buffer.clone() for buffer in self.objective.buffers()]
        self.optimizer.zero_grad(set_to_none=True)
        losses = self._gradient_of(batch)
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
        """The optimiser's; of layers that learn more slowly than others, the fastest one's."""
        return max(float(group["lr"]) for group in self.optimizer.param_groups)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get(FACTOR, 1.0)

    @property
    def _inner(self) -> nn.Module:
        module = self.objective
        return module.module if isinstance(module, DistributedDataParallel) else module

    def _gradient_of(self, batch: Batch) -> Losses:
        """Add the batch's gradient to the parameters', part by part, averaged over processes."""
        found: list[Losses] = []
        for part in batch.parts(self._parts):
            is_last = len(found) + 1 == self._parts
            with nullcontext() if is_last else self._without_exchange():
                with self._autocast():
                    losses: Losses = self.objective(part)
                (losses.total / self._parts).backward()  # type: ignore[no-untyped-call]
            found.append(losses)
        return mean_of_parts(found)

    def _without_exchange(self) -> AbstractContextManager[object]:
        """Gradients stay with this process until the last part, which brings the sum to all."""
        module = self.objective
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def _gradient_norm(self) -> float:
        gradients = [p.grad for p in self.objective.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients))
