"""What every objective returns: one total to minimise, and its named parts for the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Losses:
    """The result of one forward pass.

    Attributes:
        total: minimised; the same on every process.
        parts: what `total` is the sum of, by name.
        figures: numbers that tell whether the features are any good; no gradient, by name.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, Tensor]
    figures: Mapping[str, float]
