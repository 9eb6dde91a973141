"""NT-Xent: two views of a participant attract, all other participants repel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from neurofm.distributed import gather_with_gradient
from neurofm.seeds import seed_of


def nt_xent(
    z1: Float[Tensor, "batch dim"],
    z2: Float[Tensor, "batch dim"],
    temperature: float,
    items: Sequence[str] | None = None,
) -> Float[Tensor, ""]:
    """Normalised temperature-scaled cross entropy over the batches of all processes.

    Each of the 2N views of N scans (N over all processes) picks its partner out of the other views
    by cosine similarity / temperature; the loss is the mean over the 2N views. Other views of the
    same participant, on whatever process, are left out of the choice. It is the same number on
    every process, and DDP's averaged gradient is its true gradient (`gather_with_gradient`).
    Computed in float32 (float64 stays float64). Paper: equation 1.

    Args:
        z1: projections of the first views.
        z2: projections of the second views, in the same order.
        temperature: above 0.
        items: participant of each row; None where no participant comes twice on any process.
    """
    with torch.autocast(z1.device.type, enabled=False):
        exact = torch.promote_types(z1.dtype, torch.float32)
        first = functional.normalize(gather_with_gradient(z1).to(exact), dim=1)
        second = functional.normalize(gather_with_gradient(z2).to(exact), dim=1)
        views = torch.cat([first, second])
        partner = torch.arange(len(views), device=views.device).roll(len(first))
        is_left_out = torch.eye(len(views), dtype=torch.bool, device=views.device)
        if items is not None:
            is_left_out = is_left_out | _same_participant(items, views.device)
            is_left_out[torch.arange(len(views), device=views.device), partner] = False
        similarity = (views @ views.T / temperature).masked_fill(is_left_out, float("-inf"))
        return functional.cross_entropy(similarity, partner)


def _same_participant(items: Sequence[str], device: torch.device) -> Tensor:
    """Whether two of all processes' views are of one participant, by 63 bits of a hash."""
    keys = [seed_of("participant", item) >> 1 for item in items]
    everyone = gather_with_gradient(torch.tensor(keys, dtype=torch.int64, device=device)).repeat(2)
    return everyone[:, None] == everyone
