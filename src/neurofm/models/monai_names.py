"""The shape of a MONAI 3D ResNet, told by the names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from neurofm.config.encoders import MonaiResNetConfig
from neurofm.errors import WeightsError

_STAGES = (1, 2, 3, 4)


def config_of_names(state: Mapping[str, Tensor], stem_stride: int) -> MonaiResNetConfig:
    """The network that a state dict belongs to.

    Args:
        state: tensors by MONAI's names ("conv1.weight", "layer1.0.conv1.weight", ...).
        stem_stride: of the first convolution, which no tensor tells.

    Raises:
        WeightsError: no such network, or one of more than one channel.
    """
    stem = state["conv1.weight"]
    if stem.ndim != 5 or len(set(stem.shape[2:])) != 1:
        raise WeightsError(
            f"its first convolution is {tuple(stem.shape)}, not that of a 3D ResNet",
            "give weights of a 3D network",
        )
    if stem.shape[1] != 1:
        raise WeightsError(
            f"its network takes {stem.shape[1]} channels, a T1-weighted scan is one",
            "give weights of a network with one channel",
        )
    blocks = [_blocks(state, stage) for stage in _STAGES]
    firsts = [state.get(f"layer{stage}.0.conv1.weight") for stage in _STAGES]
    if any(first is None for first in firsts):
        raise WeightsError("has not the four stages of a ResNet", "give a whole checkpoint")
    widths = [int(first.shape[0]) for first in firsts if first is not None]
    return MonaiResNetConfig(
        blocks=(blocks[0], blocks[1], blocks[2], blocks[3]),
        bottleneck="layer1.0.conv3.weight" in state,
        widths=(widths[0], widths[1], widths[2], widths[3]),
        stem_voxels=int(stem.shape[2]),
        stem_stride=stem_stride,
        shortcut="B" if "layer2.0.downsample.0.weight" in state else "A",
        shortcut_bias="layer2.0.downsample.0.bias" in state,
    )


def _blocks(state: Mapping[str, Tensor], stage: int) -> int:
    found = {
        int(match.group(1))
        for name in state
        if (match := re.match(rf"layer{stage}\.(\d+)\.", name)) is not None
    }
    return max(found, default=-1) + 1
