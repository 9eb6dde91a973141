"""The projector: the two bias-free layers that turn features h into a projection z."""

from __future__ import annotations

from torch import nn

from neurofm.models.encoder import build_with_seed
from neurofm.seeds import seed_of


def build_projector(features: int, size: int, seed: int = 0) -> nn.Sequential:
    """Linear, ReLU, Linear without biases: (batch, features) to (batch, size).

    The names `0.weight` and `2.weight` are those of the paper's released model.

    Args:
        features: width of the encoder's output and of the hidden layer.
        size: width of the projection.
        seed: equal seeds give equal weights; torch's global random state stays as it is.
    """
    return build_with_seed(
        lambda: nn.Sequential(
            nn.Linear(features, features, bias=False),
            nn.ReLU(),
            nn.Linear(features, size, bias=False),
        ),
        seed_of("projector", seed),
    )
