"""Integrated gradients: exact for a linear network, complete for any."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.errors import MissingDependencyError
from neurofm.inference.gradients import integrated_gradients, require_captum
from neurofm.inference.readout import Readout
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.head import build_head
from neurofm.progress import SilentProgress
from neurofm.volumes.grids import model_shape

RESNET = ResNetConfig(widths=(4, 8, 8, 16))
VIT = ViTConfig(width=12, depth=2, heads=2, patch_voxels=(5, 8, 8))


class CountedSteps(SilentProgress):
    def __init__(self) -> None:
        self.done = self.total = 0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self.total = total

    def advance(self, count: int = 1, note: str = "") -> None:
        self.done += count


def scan_of() -> torch.Tensor:
    return torch.randn(1, 1, *model_shape(6.0), generator=torch.Generator().manual_seed(0))


def network_of(config: ResNetConfig | ViTConfig, saving: Saving) -> Readout:
    encoder = build_encoder(config, 1, saving, spacing_mm=6.0).eval().requires_grad_(False)
    return Readout(encoder, build_head(config.features, 1).requires_grad_(False))


def test_a_linear_network_gives_weight_times_voxel() -> None:
    linear = nn.Sequential(nn.Flatten(), nn.Linear(5 * 6 * 7, 1)).requires_grad_(False)
    scan, steps = torch.randn(1, 1, 5, 6, 7), CountedSteps()
    found = integrated_gradients(linear, scan, 3, steps)
    expected = linear[1].weight.reshape(5, 6, 7) * scan[0, 0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)
    assert steps.done == steps.total == 3


@pytest.mark.parametrize("config", [RESNET, VIT], ids=["resnet", "vit"])
def test_the_map_adds_up_to_the_number_less_that_of_an_empty_volume(
    config: ResNetConfig | ViTConfig,
) -> None:
    readout, scan = network_of(config, Saving(stem=True, blocks=True)), scan_of()
    found = integrated_gradients(readout, scan, 64, SilentProgress())
    expected = float(readout(scan)) - float(readout(torch.zeros_like(scan)))
    assert abs(expected) > 1e-3
    assert float(found.sum()) == pytest.approx(expected, rel=0.05)


def test_saving_memory_changes_nothing() -> None:
    scan = scan_of()
    plain, frugal = (
        integrated_gradients(network_of(RESNET, saving), scan, 4, SilentProgress())
        for saving in (Saving(), Saving(stem=True, blocks=True))
    )
    np.testing.assert_allclose(plain, frugal, rtol=1e-4, atol=1e-6 * np.abs(plain).max())


def test_without_captum_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurofm.inference.gradients.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'neurofm\[explain\]'"):
        require_captum()
