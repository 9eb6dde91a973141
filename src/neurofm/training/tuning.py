"""Which weights of an encoder supervised training changes, and how fast those of each layer."""

from __future__ import annotations

from torch import nn

from neurofm.config.tuning import TuningConfig
from neurofm.errors import ConfigError
from neurofm.models.lora import add_adapters
from neurofm.models.resnet import FrugalResNet
from neurofm.models.vit import ViT
from neurofm.objectives.supervised import Supervised

Part = nn.Module | nn.Parameter


def apply_tuning(objective: Supervised, config: TuningConfig, seed: int) -> None:
    """Freeze what a recipe does not train, in place, and add adapters where it trains those.

    Args:
        objective: with its encoder as it begins.
        config: which part is trained.
        seed: the recipe's.

    Raises:
        ConfigError: more blocks than there are, or adapters without peft.
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
    elif config.trained == "lora":
        objective.freeze([objective.encoder])
        add_adapters(objective.encoder, config.lora_rank, config.lora_alpha, seed)


def layer_factors(objective: Supervised, decay: float) -> dict[nn.Parameter, float]:
    """The learning rate of each parameter of the encoder, relative to the head's.

    Each layer has `decay` times the rate of the one after it, as in fine-tuning BEiT and MAE (Bao
    et al. 2022; He et al. 2022): the last block that of the head, and so on down to the stem. A
    transformer's last norm goes with the head. Empty where all are alike.
    """
    if decay == 1:
        return {}
    encoder, factors = objective.encoder, dict[nn.Parameter, float]()
    layers = layers_of(encoder)
    for number, layer in enumerate(layers):
        for part in layer:
            owned = part.parameters() if isinstance(part, nn.Module) else [part]
            factors |= dict.fromkeys(owned, decay ** (len(layers) - number))
    if isinstance(encoder, ViT):
        factors |= dict.fromkeys(encoder.norm.parameters(), 1.0)
    return factors


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
