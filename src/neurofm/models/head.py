"""The head of a task: one linear layer from features to what is predicted."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.config.knobs import Section
from neurofm.models.encoder import build_with_seed
from neurofm.seeds import seed_of

Kind = Literal["regression", "binary", "multiclass"]


class HeadCard(Section):
    """What a head predicts.

    Attributes:
        target: the index column.
        kind: of the task.
        classes: names of the classes, controls first; empty for regression.
        mean: of the target in the training part; a regression predicts the distance to it ...
        spread: ... in this unit, its standard deviation.
        metric: by which the checkpoint was chosen.
        validation: the metric's value on the validation part.
        epoch: epochs done when it was chosen.
        train_participants: how many the head was trained on.
        validation_participants: how many chose the checkpoint.
        validation_scores: how badly their truth conforms to the prediction, one each (see
            `models.conformal.conformity_errors`); empty where nobody kept them.
        validation_people: heads that have it in common have the scores of the same people in the
            same order; empty where the order says nothing.
    """

    target: str
    kind: Kind
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    spread: float = 1.0
    metric: str = ""
    validation: float | None = None
    epoch: int = 0
    train_participants: int = 0
    validation_participants: int = 0
    validation_scores: tuple[float, ...] = ()
    validation_people: str = ""

    @property
    def outputs(self) -> int:
        """Width of the head: one number, or one for each class where there are more than two."""
        return len(self.classes) if self.kind == "multiclass" else 1


def build_head(features: int, outputs: int, seed: int = 0) -> nn.Linear:
    """A freshly initialised linear layer; equal seeds give equal weights."""
    return build_with_seed(lambda: nn.Linear(features, outputs), seed_of("head", seed))


def said_by(
    linear: nn.Linear, head: HeadCard, features: Float[np.ndarray, "scans features"]
) -> Float[np.ndarray, "scans values"]:
    """What a frozen head says of saved features: see `predictions`."""
    with torch.inference_mode():
        return np.asarray(predictions(linear(torch.from_numpy(features)), head).numpy())


def predictions(
    outputs: Float[Tensor, "batch outputs"], head: HeadCard
) -> Float[Tensor, "batch values"]:
    """What a head's outputs say: the number in the target's unit, or the classes' probabilities."""
    outputs = outputs.float()
    if head.kind == "regression":
        return outputs * head.spread + head.mean
    if head.kind == "binary":
        positive = outputs.sigmoid()
        return torch.cat([1 - positive, positive], dim=1)
    return outputs.softmax(dim=1)
