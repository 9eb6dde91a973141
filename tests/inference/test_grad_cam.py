"""Grad-CAM: equal to the formula, and each place where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.errors import ConfigError
from neurofm.inference.grad_cam import at_voxels, grad_cam_map, require_resnet
from neurofm.inference.readout import Readout
from neurofm.models.encoder import build_encoder
from neurofm.models.head import build_head

TINY = ResNetConfig(widths=(4, 8, 8, 16))


def test_the_map_is_the_heads_weights_on_the_last_features() -> None:
    encoder = build_encoder(TINY, 1).eval().requires_grad_(False)
    head = build_head(16, 1).requires_grad_(False)
    scan = torch.randn(1, 1, 50, 64, 40, generator=torch.Generator().manual_seed(0))
    kept: list[torch.Tensor] = []
    handle = encoder.layer4[-1].register_forward_hook(lambda _m, _i, out: kept.append(out))
    encoder(scan)
    handle.remove()
    found = grad_cam_map(Readout(encoder, head), scan, 1)
    (last,) = kept
    each = torch.einsum("c,czyx->zyx", head.weight[0], last[0]) / last[0, 0].numel()
    places = each.clamp(min=0).numpy()
    assert places.shape == (4, 4, 3)
    assert found.shape == scan.shape[2:]
    np.testing.assert_allclose(found[::16, ::16, ::16], places, rtol=1e-4, atol=1e-8)
    assert found.max() > 0
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_features_stand_at_the_middle_of_what_they_see() -> None:
    places = torch.zeros(1, 1, 2, 3, 4)
    places[0, 0, 1, 2, 1] = 1
    whole = at_voxels(places, 16, (25, 40, 52))[0, 0]
    assert whole.shape == (25, 40, 52)
    assert whole[16, 32, 16] == 1
    assert whole[8, 32, 16] == pytest.approx(0.5)
    assert whole[20, 39, 16] == 1  # goes on beyond the last place
    assert not whole[:, :, 33:].any()


def test_a_transformer_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"grad-cam: needs the paper.s ResNet.*occlusion or gradients"
    ):
        require_resnet(ViTConfig())
