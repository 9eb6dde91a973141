"""Gathered batch norm is batch norm; tests/multi_process shows it over two processes."""

from __future__ import annotations

import torch
from torch import nn

from neurofm.models.batch_norm import GatheredBatchNorm3d, synchronise_batch_norm


def _volumes() -> torch.Tensor:
    return 3 + 2 * torch.randn(4, 3, 2, 3, 4, generator=torch.Generator().manual_seed(0))


def test_one_process_gets_torchs_own_batch_norm() -> None:
    torchs = nn.BatchNorm3d(3)
    ours = GatheredBatchNorm3d.like(nn.BatchNorm3d(3))
    for norm in (torchs, ours):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.5)
    for is_training in (True, True, False):
        expected, given = (norm.train(is_training)(_volumes()) for norm in (torchs, ours))
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)
    for name, buffer in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], buffer, rtol=1e-5, atol=1e-6)


def test_every_layer_is_replaced_and_keeps_its_names_and_tensors() -> None:
    module = nn.Sequential(nn.Conv3d(1, 3, 1), nn.Sequential(nn.BatchNorm3d(3)))
    before = module.state_dict(keep_vars=True)
    synchronise_batch_norm(module, torch.device("cpu"))
    after = module.state_dict(keep_vars=True)
    assert isinstance(module[1][0], GatheredBatchNorm3d)  # type: ignore[index]
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)


def test_statistics_of_bf16_volumes_are_float32() -> None:
    volumes = _volumes().bfloat16()
    torchs, ours = nn.BatchNorm3d(3), GatheredBatchNorm3d.like(nn.BatchNorm3d(3))
    expected, given = torchs(volumes), ours(volumes)
    assert given.dtype == torch.bfloat16
    torch.testing.assert_close(given, expected, rtol=1e-2, atol=1e-2)
    exact = volumes.double().mean(dim=(0, 2, 3, 4)) * 0.1  # momentum
    torch.testing.assert_close(ours.running_mean.double(), exact, rtol=1e-5, atol=0)
