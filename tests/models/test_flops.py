"""The encoder's arithmetic agrees with what torch counts while it computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from neurofm.config.encoders import ResNetConfig
from neurofm.models.encoder import build_encoder
from neurofm.models.flops import convolutions, view_flops

_FULL = (150, 192, 192)


def _counted(config: ResNetConfig, grid: tuple[int, int, int]) -> tuple[int, int]:
    """Operations torch counts forward, and forward with backward; no number is computed."""
    encoder = build_encoder(config).to("meta")
    images = torch.empty(1, 1, *grid, device="meta")
    with FlopCounterMode(display=False) as forward:
        features = encoder(images)
    with FlopCounterMode(display=False) as backward:
        features.sum().backward()
    return forward.get_total_flops(), forward.get_total_flops() + backward.get_total_flops()


@pytest.mark.parametrize(
    ("widths", "stem_stride", "grid"),
    [
        ((64, 128, 256, 512), 1, _FULL),
        ((64, 128, 256, 512), 2, _FULL),
        ((16, 32, 64, 128), 2, (50, 64, 64)),
        ((4, 8, 8, 16), 1, (25, 33, 31)),
    ],
)
def test_operations_are_those_torch_counts(
    widths: tuple[int, int, int, int], stem_stride: int, grid: tuple[int, int, int]
) -> None:
    config = ResNetConfig(widths=widths, stem_stride=stem_stride)
    flops = view_flops(config, grid)
    assert (flops.stem + flops.blocks, flops.step) == _counted(config, grid)


def test_a_full_size_step_is_what_the_plan_says() -> None:
    flops = view_flops(ResNetConfig(), _FULL)
    assert round((flops.stem + flops.blocks) / 1e9) == 1335
    assert round(flops.step / 1e9) == 3762


def test_every_convolution_of_the_encoder_is_there_under_its_name() -> None:
    config = ResNetConfig(widths=(4, 8, 8, 16))
    modules = build_encoder(config).named_modules()
    expected = {
        name: (layer.in_channels, layer.out_channels, layer.kernel_size[0])
        for name, layer in modules
        if isinstance(layer, nn.Conv3d)
    }
    found = {
        each.name: (each.channels_in, each.channels_out, each.kernel)
        for each in convolutions(config, (25, 32, 32))
    }
    assert found == expected
