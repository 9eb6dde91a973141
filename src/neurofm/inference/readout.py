"""The one number of a scan that is explained: what a head says, or what is left of an embedding."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from neurofm.errors import ConfigError, WeightsError
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.head import HeadCard, build_head, predictions
from neurofm.models.weights import encoder_of, head_of, load_weights
from neurofm.seeds import seed_of

Read = Callable[[Tensor], Tensor]

_NOTHING = Saving()
_RANDOM = "randomised for comparison"  # no seed of a run, whose start a trained network resembles


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen encoder, and its head if it has one."""

    encoder: nn.Module
    head: nn.Linear | None

    def to(self, device: torch.device) -> Network:
        """The same network on a device."""
        return Network(self.encoder.to(device), self.head.to(device) if self.head else None)


class Readout(nn.Module):
    """Volumes (batch, 1, depth, height, width) to the number that is explained, (batch, 1).

    Args:
        encoder: volumes to features.
        read: features (batch, features) to the number.
    """

    def __init__(self, encoder: nn.Module, read: Read) -> None:
        super().__init__()
        self.encoder, self.read = encoder, read

    def forward(self, volumes: Tensor) -> Tensor:
        """The number of each volume."""
        number: Tensor = self.read(self.encoder(volumes))
        return number


@dataclass(frozen=True)
class Answer:
    """What a network says of a scan.

    Attributes:
        explained: the number that the map explains, in words.
        prediction: a number in the target's unit, or the likeliest class; None without a head.
        class_name: the class whose log-odds are explained; None where there are no classes.
        probability: of that class.
    """

    explained: str
    prediction: float | str | None = None
    class_name: str | None = None
    probability: float | None = None


def load_network(weights: Path, saving: Saving = _NOTHING) -> Network:
    """The network of some weights.

    Args:
        weights: their folder.
        saving: what is computed twice to save memory where gradients are taken.

    Raises:
        WeightsError: the weights cannot be loaded, or do not fit the card.
    """
    loaded = load_weights(weights)
    return Network(encoder_of(loaded, saving), head_of(loaded) if loaded.card.head else None)


def random_network(card: Card, seed: int, saving: Saving = _NOTHING) -> Network:
    """The same network before any training, of a random stream of its own; a seed names it."""
    own = seed_of(_RANDOM, seed)
    encoder = build_encoder(card.encoder, own, saving, spacing_mm=card.spacing_mm)
    head = build_head(card.features, card.head.outputs, own) if card.head else None
    return Network(
        encoder.eval().requires_grad_(False), head.eval().requires_grad_(False) if head else None
    )


def require_class(class_name: str | None, card: Card, weights: Path) -> None:
    """Refuse a class that a head does not know.

    Raises:
        WeightsError: the weights have no head.
        ConfigError: the head knows no classes, or not this one.
    """
    if class_name is None:
        return
    if card.head is None:
        mend = "leave out --class, or give a run of neurofm train"
        raise WeightsError("have no head, so no class can be explained", mend, weights)
    if not card.head.classes:
        what = f"the head predicts a number, {card.head.target}, and no classes"
        raise ConfigError(what, "leave it out", "--class")
    if class_name not in card.head.classes:
        near = difflib.get_close_matches(class_name, card.head.classes, n=1)
        known = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(card.head.classes)}"
        raise ConfigError(f"the head has no class '{class_name}'", known, "--class")


@torch.no_grad()
def features_of(network: Network, volume: Tensor) -> Tensor:
    """Features (1, features) of a volume (1, 1, depth, height, width)."""
    features: Tensor = network.encoder(volume).float()
    return features


def answer_of(
    network: Network, card: Card, features: Tensor, class_name: str | None = None
) -> Answer:
    """What a network says of a scan, and which number of it is explained.

    Args:
        network: with the card's head, if it has one.
        card: of the weights.
        features: of the scan.
        class_name: the class asked for; None for the likeliest.
    """
    if card.head is None or network.head is None:
        return Answer("the share of the scan's own embedding that is left")
    with torch.inference_mode():
        said = predictions(network.head(features), card.head)[0].tolist()
    if not card.head.classes:
        return Answer(card.head.target, said[0])
    likeliest = card.head.classes[max(range(len(said)), key=said.__getitem__)]
    chosen = class_name or likeliest
    share = said[card.head.classes.index(chosen)]
    return Answer(f"log-odds of {card.head.target} {chosen}", likeliest, chosen, share)


def readout_of(network: Network, card: Card, features: Tensor, class_name: str | None) -> Readout:
    """The network down to the number that is explained.

    Args:
        network: with the card's head, if it has one.
        card: of the weights.
        features: of the whole scan; without a head, what is left of them is read.
        class_name: of a head with classes, the one that is explained.
    """
    if card.head is None or network.head is None:
        return Readout(network.encoder, _share_of(features))
    if class_name is None:
        return Readout(network.encoder, _number(network.head, card.head))
    return Readout(network.encoder, _log_odds(network.head, card.head, class_name))


def _share_of(own: Tensor) -> Read:
    """The projection on the scan's own features over their length: 1 for the scan itself."""
    squared = own[0].square().sum().clamp(min=torch.finfo(own.dtype).tiny)
    direction = own[0] / squared
    return lambda features: (features.float() @ direction)[:, None]


def _number(linear: nn.Linear, head: HeadCard) -> Read:
    return lambda features: predictions(linear(features), head)


def _log_odds(linear: nn.Linear, head: HeadCard, class_name: str) -> Read:
    """log p / (1 - p), which goes on rising where a probability is close to 1."""
    place = head.classes.index(class_name)

    def read(features: Tensor) -> Tensor:
        outputs: Tensor = linear(features).float()
        if head.kind == "binary":
            return outputs if place == 1 else -outputs
        others = [each for each in range(len(head.classes)) if each != place]
        return outputs[:, [place]] - outputs[:, others].logsumexp(dim=1, keepdim=True)

    return read
