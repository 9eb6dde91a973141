"""The encoder of a recipe: a 3D ResNet-18 or a 3D vision transformer, freshly initialised."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from neurofm.config.encoders import MonaiResNetConfig, ResNetConfig, ViTConfig
from neurofm.models.footprint import Saving
from neurofm.models.resnet import build_monai_resnet, build_resnet
from neurofm.models.vit import ViT
from neurofm.seeds import seed_of
from neurofm.volumes.grids import model_shape

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_NOTHING = Saving()


def build_encoder(
    config: ResNetConfig | ViTConfig | MonaiResNetConfig,
    seed: int = 0,
    saving: Saving = _NOTHING,
    *,
    spacing_mm: float = 1.0,
) -> nn.Module:
    """A freshly initialised encoder: volumes (batch, 1, depth, height, width) to features.

    Args:
        config: which network, and its sizes.
        seed: equal seeds give equal weights; torch's global random state stays as it is.
        saving: what is computed twice in training to save memory. Names, weights and gradients
            stay the same.
        spacing_mm: of the volumes it is trained on; a transformer's positions are laid out on
            their grid.

    Returns:
        a module in training mode with output (batch, features), features = `config.features`.

    Raises:
        ConfigError: a transformer's patch does not divide the volume.
    """

    def build() -> nn.Module:
        if isinstance(config, ViTConfig):
            return ViT(config, model_shape(spacing_mm), saving)
        if isinstance(config, MonaiResNetConfig):
            return build_monai_resnet(config)
        return build_resnet(config, saving)

    return build_with_seed(build, seed_of("encoder", seed))


def build_with_seed(build: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Call `build` with torch's CPU generator at `seed`, and put the generator back after."""
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return build()
