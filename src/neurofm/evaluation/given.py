"""The weights an evaluation is given: each is a model of the table, or a repeat of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from neurofm.errors import ConfigError
from neurofm.evaluation.baselines import AS_TRAINED, BASELINES, PRETRAINED, PROBED, RANDOM
from neurofm.models.encoder import build_encoder
from neurofm.models.hub import is_hub_reference
from neurofm.models.weights import Card, load_encoder, load_weights
from neurofm.seeds import seed_of


@dataclass(frozen=True)
class Given:
    """A folder of weights, and the name of the model they are a repeat of.

    Attributes:
        folder: a run, a bundle, or imported weights.
        name: as the tables show it; None takes a usual one, or the one below.
        short_name: of a reference that is no folder; None takes the folder's.
    """

    folder: Path
    name: str | None = None
    short_name: str | None = None


@dataclass(frozen=True, eq=False)
class GivenRun:
    """One set of weights whose card was read; the tensors are read when they are needed.

    Attributes:
        model: name of its row.
        folder: where the weights lie.
        card: what they are.
    """

    model: str
    folder: Path
    card: Card

    @property
    def target(self) -> str | None:
        """What its head predicts; None without a head."""
        return self.card.head.target if self.card.head else None

    def is_about(self, task: str) -> bool:
        """Whether it may stand in a task's table: a network has learnt from people of its own."""
        return self.target in (None, task)

    def encoder(self) -> nn.Module:
        """Its encoder, frozen and in evaluation mode."""
        return load_encoder(self.folder)

    def random_encoder(self, seed: int, repeat: int) -> nn.Module:
        """The same architecture with weights as initialised, others for each repeat."""
        drawn = seed_of("random encoder", seed, repeat)
        return build_encoder(self.card.encoder, drawn, spacing_mm=self.card.spacing_mm).eval()


def parse_given(text: str) -> tuple[str | None, str]:
    """Read "NAME=REF" or "REF": a name, or None, and a reference to weights.

    Raises:
        ConfigError: there is nothing before or after the sign.
    """
    name, equals, reference = text.partition("=")
    if not equals or is_hub_reference(text) or Path(text).exists():
        return None, text
    if not name.strip() or not reference:
        raise ConfigError("is not of the form NAME=REF", "", f"--weights {text}")
    return name.strip(), reference


def open_runs(given: Sequence[Given]) -> tuple[GivenRun, ...]:
    """Read the cards of all weights and name their rows.

    Weights of one name are repeats of one model, as from several seeds.

    Raises:
        WeightsError: weights are missing or damaged.
        ConfigError: names are those of baselines, or of weights that are no repeats of each other.
    """
    if not given:
        raise ConfigError("names no weights", "add --weights RUN", "--weights")
    cards = [load_weights(each.folder).card for each in given]
    runs = tuple(
        GivenRun(_name(each, card, len(given)), each.folder, card)
        for each, card in zip(given, cards, strict=True)
    )
    _refuse_doubles(runs)
    for run in runs:
        _refuse_other_kind(runs, run)
    return runs


def architectures(runs: Iterable[GivenRun]) -> dict[str, GivenRun]:
    """The first run of each different encoder, by the name of the row of its random weights."""
    first: list[GivenRun] = []
    for run in runs:
        if all(run.card.encoder != other.card.encoder for other in first):
            first.append(run)
    return {RANDOM if len(first) == 1 else f"{RANDOM}, as of {run.model}": run for run in first}


def probe_name(model: str) -> str:
    """Name of the row in which the encoder of a network with a head is probed."""
    return PROBED if model == AS_TRAINED else f"{model}, {PROBED}"


def _name(given: Given, card: Card, total: int) -> str:
    if given.name is None and total == 1:
        return AS_TRAINED if card.head else PRETRAINED
    name = given.name or given.short_name or given.folder.resolve().name
    if name in BASELINES:
        raise ConfigError("is the name of a baseline", "choose another", f"--weights {name}=...")
    return name


def _refuse_doubles(runs: Sequence[GivenRun]) -> None:
    found: dict[str, GivenRun] = {}
    for run in runs:
        before = found.setdefault(run.card.weights_sha256, run)
        if before is not run:
            raise ConfigError(
                f"holds the same weights as {before.folder}", "name each once", run.folder
            )


def _refuse_other_kind(runs: Sequence[GivenRun], run: GivenRun) -> None:
    first = next(each for each in runs if each.model == run.model)
    differs = ""
    if first.card.encoder != run.card.encoder:
        differs = "another encoder"
    elif (first.card.head is None) != (run.card.head is None):
        differs = "no head" if first.card.head else "a head"
    if differs:
        raise ConfigError(
            f"is named '{run.model}' like {first.folder}, but has {differs}",
            "give it a name of its own: NAME=REF", run.folder,
        )  # fmt: skip
