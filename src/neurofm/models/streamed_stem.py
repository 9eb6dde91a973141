"""The encoder's stem, exact and a sample at a time: convolution, batch norm, ReLU, max pool."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

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


def streamed_stem(
    images: Volumes, convolution: nn.Conv3d, norm: Norm, pool: nn.MaxPool3d
) -> Tensor:
    """`pool(relu(norm(convolution(images))))` in training, keeping images and statistics only.

    Batch norm's statistics are those of the whole batch of all processes; its buffers are updated
    once. Batch norm and ReLU rise or fall with the convolution's output, so the largest of a window
    is found before the statistics are known and the forward pass costs nothing extra; backward
    computes the convolution twice more. Where a weight of the norm is exactly 0, all voxels of a
    window tie and the weight's gradient may come from another of them than in the plain stem.

    Args:
        images: a batch.
        convolution: without bias.
        norm: in training mode.
        pool: without dilation.

    Returns:
        (batch, features, pooled depth, pooled height, pooled width).
    """
    layers = _Layers(convolution, norm, pool, working_dtype(images))
    pooled: Tensor = _Stem.apply(images, layers, convolution.weight, norm.weight, norm.bias)  # type: ignore[no-untyped-call]
    return pooled


class _Layers:
    """The stem's layers, with the sign of the norm's weight moved into the kernel."""

    def __init__(
        self, layer: nn.Conv3d, norm: Norm, pool: nn.MaxPool3d, dtype: torch.dtype
    ) -> None:
        weight = norm.weight.detach()
        self.sign = torch.where(weight < 0, -1.0, 1.0).to(weight)
        self.scale, self.bias = weight.abs(), norm.bias.detach()
        self.norm, self.pool = norm, pool
        kernel = layer.weight.detach() * self.sign[:, None, None, None, None]
        self.convolution = Convolution(layer, kernel, dtype)

    def activate(self, pooled: Volumes, statistics: Statistics) -> Volumes:
        """Norm and ReLU of what the pool found."""
        normal = statistics.normalise(pooled)
        return normal.mul_(over_voxels(self.scale)).add_(over_voxels(self.bias)).relu_()

    def parts(self, images: Volumes) -> list[slice]:
        return list(pieces(len(images), len(self.scale) * images[0].numel()))


class _Stem(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, layers: _Layers, *parameters: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            pooled, ctx.statistics = _forward(images, layers)
        remember(layers.norm, ctx.statistics, layers.sign)
        ctx.layers = layers
        ctx.save_for_backward(images)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (images,) = ctx.saved_tensors
        layers: _Layers = ctx.layers
        of_norm = NormGradient(ctx.statistics, layers.scale)
        of_convolution = ConvolutionGradient(layers.convolution)
        of_images = torch.empty_like(images) if ctx.needs_input_grad[0] else None
        with torch.autocast(images.device.type, enabled=False):
            _collect(images, gradient, layers, ctx.statistics, of_norm)
            for part in layers.parts(images):
                of_values = _of_values(
                    images[part], gradient[part], layers, ctx.statistics, of_norm
                )
                if of_images is None:
                    of_convolution.add(images[part], of_values)
                else:
                    of_images[part] = of_convolution.through(images[part], of_values)
        of_kernel = of_convolution.of_kernel * layers.sign[:, None, None, None, None]
        return of_images, None, of_kernel, of_norm.of_weight * layers.sign, of_norm.of_bias


def _forward(images: Tensor, layers: _Layers) -> tuple[Tensor, Statistics]:
    moments, pooled = Moments(), images
    for part in layers.parts(images):
        values = layers.convolution(images[part])
        moments.add(values)
        piece = layers.pool(values)
        pooled = room_for(piece, len(images)) if part.start == 0 else pooled
        pooled[part] = piece
    statistics = moments.over_processes(layers.norm.eps)
    for part in layers.parts(images):
        pooled[part] = layers.activate(pooled[part], statistics)
    return pooled, statistics


def _collect(
    images: Tensor, gradient: Tensor, layers: _Layers, statistics: Statistics, of_norm: NormGradient
) -> None:
    """The sums of the norm's gradient: only the largest voxel of a window has any."""
    for part in layers.parts(images):
        pooled = layers.pool(layers.convolution(images[part]))
        is_active = layers.activate(pooled, statistics) > 0
        of_norm.add(gradient[part] * is_active, statistics.normalise(pooled))
    of_norm.finish()


def _of_values(
    images: Tensor, gradient: Tensor, layers: _Layers, statistics: Statistics, of_norm: NormGradient
) -> Tensor:
    """The gradient of the convolution's output for some rows."""
    values = layers.convolution(images).requires_grad_()
    with torch.enable_grad():
        pooled = layers.pool(values)
    is_active = layers.activate(pooled.detach(), statistics) > 0
    (spread,) = torch.autograd.grad(pooled, values, (gradient * is_active).to(pooled.dtype))
    return of_norm.of_input(spread, statistics.normalise(values.detach()))
