"""Occlusion: what is hidden, and what its loss says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurofm.inference.occlusion import occlusion_map, windows
from neurofm.progress import SilentProgress

SHAPE = (12, 16, 20)


class ReadsBox(nn.Module):
    """The sum of one box of the volume."""

    def __init__(self, box: tuple[slice, slice, slice]) -> None:
        super().__init__()
        self.box = box

    def forward(self, volumes: Tensor) -> Tensor:
        return volumes[:, 0][:, *self.box].sum(dim=(1, 2, 3))[:, None]


def brain_of() -> np.ndarray:
    brain = np.zeros(SHAPE, dtype=bool)
    brain[2:11, 3:14, 1:19] = True
    return brain


def scan_of(brain: np.ndarray) -> Tensor:
    values = np.random.default_rng(0).normal(size=SHAPE)
    return torch.from_numpy(np.where(brain, values, 0).astype(np.float32))[None, None]


def occluded(readout: nn.Module, window: int, stride: int) -> np.ndarray:
    brain = brain_of()
    volume = scan_of(brain)
    whole = float(readout(volume))
    return occlusion_map(
        readout, volume, brain, whole, window=window, stride=stride, progress=SilentProgress()
    )


def test_a_network_that_reads_one_region_lights_up_there_only() -> None:
    box = (slice(3, 7), slice(5, 9), slice(14, 18))  # on the right
    found = occluded(ReadsBox(box), 2, 2)
    reach = np.zeros(SHAPE, dtype=bool)
    reach[2:8, 4:10, 13:19] = True  # one window around it
    assert np.abs(found[reach]).max() > 0
    assert not found[~reach].any()
    assert not found[~brain_of()].any()


def test_hiding_single_voxels_gives_the_exact_share_of_a_linear_network() -> None:
    everything = (slice(None), slice(None), slice(None))
    found = occluded(ReadsBox(everything), 1, 1)
    np.testing.assert_allclose(found, scan_of(brain_of())[0, 0].numpy(), atol=2e-4)


@pytest.mark.parametrize(("window", "stride"), [(4, 4), (5, 3), (40, 40), (1, 1)])
def test_windows_cover_the_brain_and_each_holds_some_of_it(window: int, stride: int) -> None:
    brain, covered = brain_of(), np.zeros(SHAPE, dtype=bool)
    for box in windows(brain, window, stride):
        assert brain[box].any()
        covered[box] = True
    assert covered[brain].all()


def test_no_brain_means_no_window() -> None:
    assert list(windows(np.zeros(SHAPE, dtype=bool), 4, 4)) == []
