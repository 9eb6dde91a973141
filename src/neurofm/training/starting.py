"""The weights a supervised run starts from: whether they may be used here, and what they saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import Tensor

from neurofm.config.encoders import MonaiResNetConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import WeightsError
from neurofm.models.card import Card
from neurofm.models.suitability import check_contract, check_overlap, check_training_unseen
from neurofm.models.weights import encoder_tensors, load_weights
from neurofm.store.reader import Store


@dataclass(frozen=True, eq=False)
class Start:
    """A pre-trained encoder.

    Attributes:
        encoder: its tensors by their names in the encoder.
        card: of the weights.
        notes: what the user should know.
    """

    encoder: Mapping[str, Tensor]
    card: Card
    notes: tuple[str, ...]


@dataclass(frozen=True)
class StartingPoint:
    """Where a supervised run gets its encoder from.

    Attributes:
        folder: of weights; None starts from scratch.
        allow_overlap: go on where validation or test participants were seen in pre-training.
        allow_other_contract: go on where the scans were preprocessed otherwise.
    """

    folder: Path | None = None
    allow_overlap: bool = False
    allow_other_contract: bool = False


FROM_SCRATCH = StartingPoint()


def open_start(
    point: StartingPoint, store: Store, judged: pd.DataFrame, train: pd.DataFrame
) -> Start | None:
    """Read and check the weights to start from; None from scratch.

    Args:
        point: which, and what is allowed.
        store: of the scans to be learnt from.
        judged: rows of the validation and test parts, which nothing may have learnt from.
        train: rows of the training part; whom the index keeps from pre-training, the weights may
            not have seen either.

    Raises:
        WeightsError: the weights cannot be read.
        ContractError: they are for scans preprocessed otherwise.
        LeakageError: they have seen participants of the validation or test part, or of the
            training part although they were held out.
    """
    if point.folder is None:
        return None
    loaded = load_weights(point.folder)
    require_trainable(loaded.card, point.folder)
    notes = check_contract(store, loaded.card, point.allow_other_contract)
    notes += check_overlap(loaded.card, judged, point.allow_overlap)[1]
    notes += check_training_unseen(loaded.card, train, point.allow_overlap)
    state = encoder_tensors(loaded.state)
    return Start(state, loaded.card, notes)


def require_trainable(card: Card, folder: Path) -> None:
    """Raise a `WeightsError` where weights are of a network that is used as it is."""
    if isinstance(card.encoder, MonaiResNetConfig):
        raise WeightsError(
            "are of a network that neurofm uses but does not train",
            "probe them with: neurofm evaluate", folder,
        )  # fmt: skip


def with_its_encoder(recipe: Recipe, start: Start | None) -> Recipe:
    """The recipe with the encoder that the weights are of."""
    if start is None or recipe.encoder == start.card.encoder:
        return recipe
    return recipe.model_copy(update={"encoder": start.card.encoder})
