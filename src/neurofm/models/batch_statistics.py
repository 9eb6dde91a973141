"""A batch norm's statistics and gradient over the whole batch, collected piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.distributed import gather_with_gradient

Volumes: TypeAlias = Float[Tensor, "rows channels depth height width"]
PerChannel: TypeAlias = Float[Tensor, " channels"]
Norm: TypeAlias = nn.BatchNorm3d | nn.SyncBatchNorm

_VALUES_AT_ONCE = 2**23
_OVER = (0, 2, 3, 4)


def pieces(rows: int, values_a_row: int) -> Iterator[slice]:
    """Rows of a batch, so many at a time that a tensor of a piece stays near 32 MB in float32.

    Args:
        rows: of the batch.
        values_a_row: numbers of a row of the largest tensor; a piece has at least one row.
    """
    step = max(1, _VALUES_AT_ONCE // values_a_row)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


@dataclass(frozen=True, eq=False)
class Statistics:
    """What a batch norm normalises by.

    Attributes:
        mean: of each channel.
        variance: of each channel, divided by the count.
        count: values of each channel, over all processes.
        eps: of the norm.
    """

    mean: PerChannel
    variance: PerChannel
    count: int
    eps: float

    @property
    def inverse_deviation(self) -> PerChannel:
        """1 / sqrt(variance + eps)."""
        return torch.rsqrt(self.variance + self.eps)

    def normalise(self, values: Volumes) -> Volumes:
        """Mean 0 and variance 1, before the norm's weight and bias; a copy, at least float32."""
        return (values - over_voxels(self.mean)).mul_(over_voxels(self.inverse_deviation))


class Moments:
    """Count, mean and variance of each channel, merged from pieces (Chan, Golub, LeVeque 1983).

    Sums of squares are taken about each piece's own mean, so that a large mean costs no precision.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, values: Volumes) -> None:
        """Take in some rows."""
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        count = values.numel() // values.shape[1]
        mean = values.mean(dim=_OVER)
        squares = (values - over_voxels(mean)).square_().sum(dim=_OVER)
        total = self._count + count
        apart = mean - self._mean
        self._squares = self._squares + squares + apart.square() * (self._count * count / total)
        self._mean = self._mean + apart * (count / total)
        self._count = total

    def over_processes(self, eps: float) -> Statistics:
        """The statistics of all processes' rows, equally many on every process."""
        assert isinstance(self._mean, Tensor)
        assert isinstance(self._squares, Tensor)
        ours = torch.stack([self._mean, self._squares / self._count])
        means, variances = gather_with_gradient(ours[None]).unbind(dim=1)
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        return Statistics(mean, variance, self._count * len(means), eps)


class NormGradient:
    """The way back through a batch norm: first every piece is added, then each has its gradient.

    Args:
        statistics: of the forward pass.
        weight: of the norm.
    """

    def __init__(self, statistics: Statistics, weight: PerChannel) -> None:
        self._statistics, self._weight = statistics, weight
        self._sums = torch.zeros(2, *statistics.mean.shape).to(statistics.mean)
        self._means = self._sums

    def add(self, gradient: Volumes, normal: Volumes) -> None:
        """Take in the gradient of the norm's output for some normalised rows."""
        gradient = gradient.to(normal.dtype)
        self._sums[0] += gradient.sum(dim=_OVER)
        self._sums[1] += (gradient * normal).sum(dim=_OVER)

    def finish(self) -> None:
        """Share the sums with all processes, once everything is added."""
        self._means = gather_with_gradient(self._sums[None]).sum(dim=0) / self._statistics.count

    def of_input(self, gradient: Volumes, normal: Volumes) -> Volumes:
        """The gradient of the norm's input for rows added before; `normal` is overwritten by it."""
        scale = over_voxels(self._weight * self._statistics.inverse_deviation)
        normal.mul_(over_voxels(self._means[1])).sub_(gradient).add_(over_voxels(self._means[0]))
        return normal.mul_(-scale)

    @property
    def of_weight(self) -> PerChannel:
        """From the rows of this process; DDP averages it as any other gradient."""
        return self._sums[1]

    @property
    def of_bias(self) -> PerChannel:
        """As `of_weight`."""
        return self._sums[0]


def over_voxels(values: PerChannel) -> Float[Tensor, "1 channels 1 1 1"]:
    """A number a channel, ready to be multiplied with volumes."""
    return values[None, :, None, None, None]


@torch.no_grad()
def remember(norm: Norm, statistics: Statistics, sign: PerChannel | float = 1.0) -> None:
    """Update a norm's buffers as its own forward pass does.

    Args:
        norm: whose running mean, variance and count of batches.
        statistics: of a batch.
        sign: 1 or -1 for each channel: what the values were multiplied by.
    """
    if norm.running_mean is None or norm.running_var is None or norm.momentum is None:
        return
    count = statistics.count
    norm.running_mean.lerp_((sign * statistics.mean).to(norm.running_mean), norm.momentum)
    unbiased = statistics.variance * count / (count - 1)
    norm.running_var.lerp_(unbiased.to(norm.running_var), norm.momentum)
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
