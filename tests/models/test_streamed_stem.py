"""The stem a few samples at a time, on layers small enough to take one at a time."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from neurofm.models import batch_statistics
from neurofm.models.streamed_stem import streamed_stem


def _layers() -> tuple[nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d]:
    norm = nn.BatchNorm3d(3).double()
    norm.weight.data = torch.tensor([1.5, -0.7, 0.3], dtype=torch.float64)
    norm.bias.data = torch.tensor([0.1, 0.2, -0.1], dtype=torch.float64)
    torch.manual_seed(0)
    return nn.Conv3d(1, 3, 3, padding=1, bias=False).double(), norm, nn.MaxPool3d(3, 2, 1)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_the_gradients_do_not_depend_on_the_rows_taken_at_a_time(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_statistics, "_VALUES_AT_ONCE", rows * 3 * 6 * 7 * 8)
    convolution, norm, pool = _layers()
    images = torch.randn(4, 1, 6, 7, 8, dtype=torch.float64, requires_grad=True)
    torchs_norm = copy.deepcopy(norm)
    plain = pool(torchs_norm(convolution(images)).relu())
    streamed = streamed_stem(images, convolution, norm, pool)
    torch.testing.assert_close(streamed, plain, rtol=1e-12, atol=1e-13)
    aim = torch.randn_like(plain)
    expected, given = (
        torch.autograd.grad(
            (pooled * aim).sum(), [images, convolution.weight, layer.weight, layer.bias]
        )
        for pooled, layer in ((plain, torchs_norm), (streamed, norm))
    )
    for ours, torchs in zip(given, expected, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-10, atol=1e-12)


def test_the_norm_remembers_a_batch_once_with_its_own_sign() -> None:
    convolution, norm, pool = _layers()
    images = torch.randn(4, 1, 6, 7, 8, dtype=torch.float64)
    torchs = nn.BatchNorm3d(3).double()
    torchs(convolution(images))
    streamed_stem(images, convolution, norm, pool).sum().backward()
    for name, buffer in torchs.named_buffers():
        torch.testing.assert_close(norm.get_buffer(name), buffer, rtol=1e-12, atol=1e-13)
    assert norm.num_batches_tracked == 1
