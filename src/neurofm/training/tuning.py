"""Which weights of an encoder supervised training changes: all, the last blocks, the head alone."""

from __future__ import annotations

from torch import nn

from neurofm.config.tuning import TuningConfig
from neurofm.errors import ConfigError
from neurofm.models.resnet import FrugalResNet
from neurofm.models.vit import ViT
from neurofm.objectives.supervised import Supervised

Part = nn.Module | nn.Parameter


def apply_tuning(objective: Supervised, config: TuningConfig) -> None:
    """Freeze what a recipe does not train, in place.

    Args:
        objective: with its encoder as it begins.
        config: which part is trained.

    Raises:
        ConfigError: more blocks than there are.
    """
    if config.trained == "head":
        objective.freeze([objective.encoder])
    elif config.trained == "last":
        layers = layers_of(objective.encoder)
        if config.last_blocks >= len(layers):
            raise ConfigError(
                f"the encoder has {len(layers) - 1} blocks", "use tuning.trained=all",
                f"tuning.last_blocks={config.last_blocks}",
            )  # fmt: skip
        objective.freeze([each for layer in layers[: -config.last_blocks] for each in layer])


def layers_of(encoder: nn.Module) -> list[list[Part]]:
    """The parts of an encoder from its input to its output: the stem, then each block.

    What comes after the last block belongs to it.
    """
    if isinstance(encoder, ViT):
        layers: list[list[Part]] = [[encoder.embed, encoder.class_token]]
        layers += [[block] for block in encoder.blocks]
        layers[-1].append(encoder.norm)
        return layers
    assert isinstance(encoder, FrugalResNet)
    stages = (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)
    return [[encoder.conv1, encoder.bn1], *([block] for stage in stages for block in stage)]
