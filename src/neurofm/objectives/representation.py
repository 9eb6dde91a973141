"""Three figures that show collapse early: alignment, uniformity, effective rank."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def alignment(z1: Float[Tensor, "batch dim"], z2: Float[Tensor, "batch dim"]) -> float:
    """Mean squared distance of two views on the unit sphere: 0 where views are the same.

    Wang and Isola 2020, with exponent 2; random directions give about 2.
    """
    first, second = functional.normalize(z1.float(), dim=1), functional.normalize(z2.float(), dim=1)
    return float((first - second).square().sum(dim=1).mean())


def uniformity(z: Float[Tensor, "batch dim"]) -> float:
    """Log of the mean Gaussian potential of all pairs on the unit sphere: 0 where all coincide.

    Wang and Isola 2020, with t = 2; the lower, the more evenly spread, not below -4 or so.
    """
    points = functional.normalize(z.float(), dim=1)
    squared = torch.pdist(points).square()
    return float(squared.mul(-2).exp().mean().log()) if len(points) > 1 else 0.0


def effective_rank(h: Float[Tensor, "batch features"]) -> float:
    """How many directions the centred features use: exp of the entropy of their singular values.

    Roy and Vetterli 2007; between 1 and min(batch - 1, features); 0 where all coincide or any is
    NaN.
    """
    if not bool(torch.isfinite(h).all()):
        return 0.0
    values = torch.linalg.svdvals((h - h.mean(dim=0)).double())
    total = values.sum()
    if total <= 0:
        return 0.0
    shares = values[values > 0] / total
    return float((-(shares * shares.log()).sum()).exp())
