"""Batch norm over the batches of all processes, on any device."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.distributed import gather_with_gradient


def synchronise_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """Replace every batch norm inside `module`, in place, by one over all processes.

    Names, parameters and buffers stay. On a GPU it is torch's own `SyncBatchNorm`; that one refuses
    CPU tensors, so on a CPU it is `GatheredBatchNorm3d`.
    """
    if device.type == "cuda":
        whole: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return whole
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm3d):
            module.add_module(name, GatheredBatchNorm3d.like(child))
        else:
            synchronise_batch_norm(child, device)
    return module


class GatheredBatchNorm3d(nn.BatchNorm3d):
    """`nn.BatchNorm3d` whose training statistics are those of all processes' rows.

    Equally many rows on every process. Statistics are float32 where the input is bf16, as in torch.
    Plain tensor operations, so slower than torch's.
    """

    @classmethod
    def like(cls, norm: nn.BatchNorm3d) -> GatheredBatchNorm3d:
        """The same layer, sharing parameters and buffers."""
        other = cls(norm.num_features, norm.eps, norm.momentum)
        other.weight, other.bias = norm.weight, norm.bias
        other.running_mean, other.running_var = norm.running_mean, norm.running_var
        other.num_batches_tracked = norm.num_batches_tracked
        return other.train(norm.training)

    def forward(
        self, input: Float[Tensor, "batch channels depth height width"]
    ) -> Float[Tensor, "batch channels depth height width"]:
        """Normalise by the statistics of all processes in training, by the running ones after."""
        if not self.training:
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        mean = _mean_of_all(values)
        variance = _mean_of_all((values - _over_voxels(mean)).square())
        self._remember(mean.detach(), variance.detach(), values)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normal = (values - _over_voxels(mean)) * _over_voxels(scale) + _over_voxels(self.bias)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _remember(
        self, mean: Float[Tensor, " channels"], variance: Float[Tensor, " channels"], input: Tensor
    ) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            return
        rows = len(gather_with_gradient(input.new_zeros(len(input))))
        count = rows * input[0, 0].numel()
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def _mean_of_all(
    values: Float[Tensor, "batch channels depth height width"],
) -> Float[Tensor, " channels"]:
    return gather_with_gradient(values.mean(dim=(0, 2, 3, 4))[None]).mean(dim=0)


def _over_voxels(values: Float[Tensor, " channels"]) -> Float[Tensor, "1 channels 1 1 1"]:
    return values[None, :, None, None, None]
