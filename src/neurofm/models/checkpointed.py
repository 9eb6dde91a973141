"""Residual blocks and other parts of an encoder that keep their input only, exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from neurofm.models.batch_statistics import (
    Moments,
    Norm,
    NormGradient,
    Statistics,
    Volumes,
    over_voxels,
    pieces,
    remember,
)
from neurofm.models.convolution import Convolution, ConvolutionGradient, room_for, working_dtype

Rows: TypeAlias = Callable[[Tensor], Tensor]


def checkpointed_rows(layers: Rows, values: Tensor, rows: int) -> Tensor:
    """`layers(values)` where no row depends on another, `rows` at a time, keeping `values` only.

    Backward computes each piece again just before it is needed and forgets it after.
    """
    starts = range(0, len(values), rows)
    results = [
        checkpoint(layers, values[start : start + rows], use_reentrant=False) for start in starts
    ]
    return torch.cat(results)


def checkpointed_block(block: nn.Module, values: Volumes) -> Tensor:
    """A MONAI `ResNetBlock` with batch norm in training, keeping its input and statistics only.

    The statistics are those of the whole batch of all processes, and the norms' buffers are updated
    once: backward computes the convolutions again and normalises by what forward found. Everything
    but two tensors of the block's size goes through a few rows at a time.

    Args:
        block: its norms in training mode.
        values: the block's input.

    Returns:
        the block's output.
    """
    layers = _Layers(block, working_dtype(values))
    parameters = [each for normed in layers.all() for each in normed.parameters()]
    result: Tensor = _Block.apply(values, layers, *parameters)  # type: ignore[no-untyped-call]
    return result


class _Normed:
    """A convolution and the batch norm behind it."""

    def __init__(self, layer: nn.Module, norm: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(layer, nn.Conv3d)
        assert isinstance(norm, Norm)
        self.norm = norm
        self.convolution = Convolution(layer, layer.weight.detach(), dtype)
        self._weight, self._bias = norm.weight.detach(), norm.bias.detach()
        self._known: Statistics | None = None

    @property
    def statistics(self) -> Statistics:
        assert self._known is not None
        return self._known

    def know(self, moments: Moments) -> None:
        self._known = moments.over_processes(self.norm.eps)
        remember(self.norm, self.statistics)

    def scale_(self, normal: Volumes) -> Volumes:
        return normal.mul_(over_voxels(self._weight)).add_(over_voxels(self._bias))

    def normed(self, values: Volumes) -> Volumes:
        return self.scale_(self.statistics.normalise(values))

    def parameters(self) -> list[Tensor]:
        return [*self.convolution.layer.parameters(), *self.norm.parameters()]


class _Gradient:
    """The way back through a convolution and its norm."""

    def __init__(self, normed: _Normed) -> None:
        self._statistics = normed.statistics
        self._norm = NormGradient(normed.statistics, normed.norm.weight.detach())
        self._convolution = ConvolutionGradient(normed.convolution)

    def add(self, gradient: Volumes, values: Volumes) -> None:
        """Take in the gradient of the norm's output, with the convolution's output."""
        self._norm.add(gradient, self._statistics.normalise(values))

    def finish(self) -> None:
        self._norm.finish()

    def through(self, inputs: Volumes, values: Tensor, gradient: Tensor) -> Volumes:
        """The gradient of some rows' inputs, from that of the norm's output."""
        of_values = self._norm.of_input(gradient, self._statistics.normalise(values))
        return self._convolution.through(inputs, of_values)

    def of_parameters(self) -> list[Tensor]:
        convolution = self._convolution
        bias = [] if convolution.of_bias is None else [convolution.of_bias]
        return [convolution.of_kernel, *bias, self._norm.of_weight, self._norm.of_bias]


class _Layers:
    """The layers of a block by their part in it; `shortcut` is None where it is the identity."""

    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        names = dict(block.named_modules())
        self.first = _Normed(names["conv1"], names["bn1"], dtype)
        self.second = _Normed(names["conv2"], names["bn2"], dtype)
        self.shortcut: _Normed | None = None
        if "downsample" in names:
            self.shortcut = _Normed(names["downsample.0"], names["downsample.1"], dtype)

    def parts(self, values: Volumes) -> list[slice]:
        wider = max(values.shape[1], len(self.first.norm.weight))
        return list(pieces(len(values), wider * values[0, 0].numel()))

    def all(self) -> list[_Normed]:
        return [self.first, self.second] + ([self.shortcut] if self.shortcut else [])

    def activate(self, inputs: Tensor, values: Volumes) -> Volumes:
        """The block's output for some rows, from its input and its second convolution's output."""
        shortcut = self.shortcut
        residual = inputs if shortcut is None else shortcut.normed(shortcut.convolution(inputs))
        return self.second.normed(values).add_(residual).relu_()


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layers: _Layers, *parameters: Tensor) -> Tensor:
        ctx.layers = layers
        ctx.save_for_backward(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            return _forward(inputs, layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (inputs,) = ctx.saved_tensors
        layers: _Layers = ctx.layers
        gradients = [_Gradient(each) for each in layers.all()]
        with torch.autocast(inputs.device.type, enabled=False):
            of_inputs = _backward(inputs, gradient, layers, gradients)
        of_parameters = [each for one in gradients for each in one.of_parameters()]
        return of_inputs, None, *of_parameters


def _forward(inputs: Tensor, layers: _Layers) -> Tensor:
    """One tensor of the output's size holds in turn each convolution's output and the block's."""
    first, second, shortcut = layers.first, layers.second, layers.shortcut
    parts, whole = layers.parts(inputs), inputs
    of_first, of_second, of_shortcut = Moments(), Moments(), Moments()
    for part in parts:
        values = first.convolution(inputs[part])
        of_first.add(values)
        whole = room_for(values, len(inputs)) if part.start == 0 else whole
        whole[part] = values
        if shortcut:
            of_shortcut.add(shortcut.convolution(inputs[part]))
    first.know(of_first)
    for part in parts:
        values = second.convolution(first.normed(whole[part]).relu_())
        of_second.add(values)
        whole[part] = values
    second.know(of_second)
    if shortcut:
        shortcut.know(of_shortcut)
    for part in parts:
        whole[part] = layers.activate(inputs[part], whole[part])
    return whole


def _backward(
    inputs: Tensor, gradient: Tensor, layers: _Layers, gradients: list[_Gradient]
) -> Tensor:
    """Three passes over the batch: norm 2 waits for sums of all rows, then norm 1 does."""
    first, second, shortcut = layers.first, layers.second, layers.shortcut
    of_first, of_second, *of_shortcut = gradients
    parts, from_first, from_second = layers.parts(inputs), inputs, inputs
    is_active = torch.empty_like(gradient, dtype=torch.bool)
    for part in parts:
        values = first.convolution(inputs[part])
        from_first = room_for(values, len(inputs)) if part.start == 0 else from_first
        from_first[part] = values
        values = second.convolution(first.normed(values).relu_())
        from_second = room_for(values, len(inputs)) if part.start == 0 else from_second
        from_second[part] = values
        is_active[part] = layers.activate(inputs[part], values) > 0
        passed = gradient[part] * is_active[part]
        of_second.add(passed, values)
        if shortcut:
            of_shortcut[0].add(passed, shortcut.convolution(inputs[part]))
    for each in (of_second, *of_shortcut):
        each.finish()
    of_inputs = torch.empty_like(inputs) if shortcut else from_second
    for part in parts:
        passed = gradient[part] * is_active[part]
        if shortcut:
            values = shortcut.convolution(inputs[part])
            of_inputs[part] = of_shortcut[0].through(inputs[part], values, passed)
        hidden = first.normed(from_first[part]).relu_()
        of_hidden = of_second.through(hidden, from_second[part], passed)
        from_second[part] = of_hidden * (hidden > 0)  # what it held is not needed any more
        of_first.add(from_second[part], from_first[part])
    of_first.finish()
    for part in parts:
        residual = of_inputs[part] if shortcut else gradient[part] * is_active[part]
        of_first_input = of_first.through(inputs[part], from_first[part], from_second[part])
        of_inputs[part] = of_first_input.add_(residual)  # without a shortcut in from_second's place
    return of_inputs
