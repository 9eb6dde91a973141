"""MONAI's 3D ResNet-18 as the released model has it, at any width, and with less memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurofm.config.encoders import MonaiResNetConfig, ResNetConfig
from neurofm.models.batch_statistics import Norm, pieces
from neurofm.models.checkpointed import checkpointed_block, checkpointed_rows
from neurofm.models.footprint import Saving
from neurofm.models.monai_parts import ResNet, ResNetBlock, ResNetBottleneck
from neurofm.models.norms import replace_by_group_norm
from neurofm.models.streamed_stem import streamed_stem

_NOTHING = Saving()


def build_resnet(config: ResNetConfig, saving: Saving = _NOTHING) -> nn.Module:
    """Basic blocks two by two in four stages, 7x7x7 stem, max pool, mean over all places.

    Shortcuts of type B have a biased 1x1x1 convolution; there is no last layer. Names, shapes and
    the default widths are those of the paper's released model.

    Args:
        config: widths, the stem's stride and the norm.
        saving: what is computed twice in training to save memory.
    """
    network = FrugalResNet(
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
    network.saving = saving
    if config.norm == "group":
        replace_by_group_norm(network, config.norm_groups)
    return network


def build_monai_resnet(config: MonaiResNetConfig) -> nn.Module:
    """A ResNet of any depth as MONAI has it, without its last layer.

    Shortcuts of type A give no gradient: such a network can be used, not trained.
    """
    return ResNet(  # type: ignore[no-any-return] # MONAI has no types
        block=ResNetBottleneck if config.bottleneck else ResNetBlock,
        layers=list(config.blocks),
        block_inplanes=list(config.widths),
        spatial_dims=3,
        n_input_channels=1,
        conv1_t_size=config.stem_voxels,
        conv1_t_stride=config.stem_stride,
        shortcut_type=config.shortcut,
        feed_forward=False,
        bias_downsample=config.shortcut_bias,
    )


class FrugalResNet(ResNet):  # type: ignore[misc] # MONAI has no types
    """MONAI's ResNet with the same tensors, names and results, and less memory where asked to.

    Without gradients nothing is computed twice. Layers whose norm is frozen, in evaluation mode,
    need no statistics of the batch: they go a few rows at a time.
    """

    saving = _NOTHING

    def forward(self, x: Tensor) -> Tensor:
        """Features (batch, features) of volumes (batch, 1, depth, height, width)."""
        is_learning = torch.is_grad_enabled()
        x = self._stem(x, self.saving.stem and is_learning)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = _through_block(block, x) if self.saving.blocks and is_learning else block(x)
        features: Tensor = self.avgpool(x).flatten(1)
        return features

    def _stem(self, images: Tensor, is_streamed: bool) -> Tensor:
        if is_streamed and _takes_statistics(self.bn1):
            return streamed_stem(images, self.conv1, self.bn1, self.maxpool)
        if is_streamed:
            return checkpointed_rows(self._plain_stem, images, 1)
        return self._plain_stem(images)

    def _plain_stem(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.maxpool(self.act(self.bn1(self.conv1(images))))
        return pooled


def _through_block(block: nn.Module, values: Tensor) -> Tensor:
    if _takes_statistics(block.bn1):
        return checkpointed_block(block, values)
    part = next(iter(pieces(len(values), values[0].numel())))
    return checkpointed_rows(block, values, part.stop)


def _takes_statistics(norm: object) -> bool:
    return isinstance(norm, Norm) and norm.training
