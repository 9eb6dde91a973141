"""A convolution forward and back, a piece of the batch at a time, without autograd's record."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from neurofm.models.batch_statistics import Volumes


@dataclass(frozen=True, eq=False)
class Convolution:
    """One layer of the encoder.

    Attributes:
        layer: stride and padding are read; undilated, one group.
        kernel: the weights to use.
        dtype: what it is computed in.
    """

    layer: nn.Conv3d
    kernel: Tensor
    dtype: torch.dtype

    def __call__(self, values: Volumes) -> Tensor:
        """The layer's output for some rows."""
        layer = self.layer
        bias = None if layer.bias is None else layer.bias.to(self.dtype)
        return functional.conv3d(
            values.to(self.dtype), self.kernel.to(self.dtype), bias, layer.stride, layer.padding
        )


class ConvolutionGradient:
    """The way back through a convolution, piece after piece.

    Args:
        convolution: as in the forward pass.

    Attributes:
        of_kernel: the sum over the pieces so far.
        of_bias: likewise; None without a bias.
    """

    def __init__(self, convolution: Convolution) -> None:
        self._convolution = convolution
        bias = convolution.layer.bias
        self.of_kernel = torch.zeros_like(convolution.kernel)
        self.of_bias = None if bias is None else torch.zeros_like(bias)

    def add(self, values: Volumes, gradient: Tensor) -> None:
        """Add what some rows give to the gradient of kernel and bias."""
        self._backward(values, gradient, with_input=False)

    def through(self, values: Volumes, gradient: Tensor) -> Volumes:
        """As `add`, and return the gradient of the rows themselves."""
        passed = self._backward(values, gradient, with_input=True)
        assert passed is not None
        return passed

    def _backward(self, values: Tensor, gradient: Tensor, with_input: bool) -> Tensor | None:
        """PyTorch's own backward pass, the operator that `torch.nn.grad` calls as well."""
        layer, dtype = self._convolution.layer, self._convolution.dtype
        of_values: Tensor | None
        of_values, of_kernel, of_bias = torch.ops.aten.convolution_backward(
            gradient.to(dtype),
            values.to(dtype),
            self._convolution.kernel.to(dtype),
            None if self.of_bias is None else list(self.of_bias.shape),
            layer.stride,
            layer.padding,
            layer.dilation,
            False,
            [0, 0, 0],
            layer.groups,
            (with_input, True, self.of_bias is not None),
        )
        self.of_kernel += of_kernel
        if self.of_bias is not None:
            self.of_bias += of_bias
        return of_values


def working_dtype(values: Tensor) -> torch.dtype:
    """What a convolution of `values` is computed in here: autocast's choice, else their own."""
    device = values.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return values.dtype


def room_for(piece: Volumes, rows: int) -> Tensor:
    """An empty tensor of `rows` rows laid out as `piece` is."""
    channels_last = piece.is_contiguous(memory_format=torch.channels_last_3d)
    return torch.empty(
        (rows, *piece.shape[1:]),
        dtype=piece.dtype,
        device=piece.device,
        memory_format=torch.channels_last_3d if channels_last else torch.contiguous_format,
    )
