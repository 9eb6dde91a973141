"""The encoder: MONAI's 3D ResNet-18 as the released model has it, at any width."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from monai.networks.nets.resnet import ResNet, ResNetBlock
from torch import nn

from neurofm.config.learning import EncoderConfig
from neurofm.seeds import seed_of

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def build_encoder(config: EncoderConfig, seed: int = 0) -> nn.Module:
    """A freshly initialised encoder: volumes (batch, 1, depth, height, width) to features.

    Basic blocks two by two in four stages, 7x7x7 stem, max pool, shortcuts of type B with a biased
    1x1x1 convolution, mean over all places at the end, no last layer. Names, shapes and the default
    widths are those of the paper's released model.

    Args:
        config: widths and the stem's stride.
        seed: equal seeds give equal weights; torch's global random state stays as it is.

    Returns:
        a module in training mode with output (batch, features), features = `config.widths[-1]`.
    """
    return build_with_seed(lambda: _resnet18(config), seed_of("encoder", seed))


def build_with_seed(build: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Call `build` with torch's CPU generator at `seed`, and put the generator back after."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return build()


def _resnet18(config: EncoderConfig) -> nn.Module:
    network: nn.Module = ResNet(
        block=ResNetBlock,
        layers=[2, 2, 2, 2],
        block_inplanes=list(config.widths),
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_size=7,
        conv1_t_stride=config.stem_stride,
        shortcut_type="B",
        feed_forward=False,
        bias_downsample=True,
    )
    return network
