"""What every objective returns: one total to minimise, and its named parts for the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Evidence:
    """What figures are computed from, so that those of a batch can be had from its parts.

    Attributes:
        rows: of all processes, without gradient; each (rows, ...).
        figures_of: the figures of such tensors, by name.
    """

    rows: tuple[Tensor, ...]
    figures_of: Callable[..., Mapping[str, float]]

    def figures(self) -> Mapping[str, float]:
        """Of these rows."""
        return self.figures_of(*self.rows)


@dataclass(frozen=True, eq=False)
class Losses:
    """The result of one forward pass.

    Attributes:
        total: minimised; the same on every process.
        parts: what `total` is the sum of, by name.
        figures: numbers that tell whether the features are any good; no gradient, by name.
        evidence: what figures of a batch in parts are computed from; None where there are none.
    """

    total: Float[Tensor, ""]
    parts: Mapping[str, Tensor]
    figures: Mapping[str, float]
    evidence: Evidence | None = None


def mean_of_parts(losses: Sequence[Losses]) -> Losses:
    """The losses of a batch from those of its equal parts; total and parts without gradient.

    For objectives whose loss is a mean over rows.
    """
    if len(losses) == 1:
        return losses[0]
    evidence = [each.evidence for each in losses if each.evidence is not None]
    figures: Mapping[str, float] = {}
    if evidence:
        together = zip(*(each.rows for each in evidence), strict=True)
        joined = Evidence(tuple(torch.cat(rows) for rows in together), evidence[0].figures_of)
        figures = joined.figures()
    names = losses[0].parts
    return Losses(
        torch.stack([each.total.detach() for each in losses]).mean(),
        {name: torch.stack([each.parts[name] for each in losses]).mean() for name in names},
        figures,
    )
