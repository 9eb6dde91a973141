"""NT-Xent: two views of a participant attract, all other participants repel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from neurofm.distributed import gather_with_gradient


def nt_xent(
    z1: Float[Tensor, "batch dim"], z2: Float[Tensor, "batch dim"], temperature: float
) -> Float[Tensor, ""]:
    """Normalised temperature-scaled cross entropy over the batches of all processes.

    Each of the 2N views of N participants (N over all processes) picks its partner out of the
    other 2N - 1 views by cosine similarity / temperature; the loss is the mean over the 2N views.
    It is the same number on every process, and DDP's averaged gradient is its true gradient
    (`gather_with_gradient`). Computed in float32 whatever the inputs are. Paper: equation 1.

    Args:
        z1: projections of the first views.
        z2: projections of the second views, in the same order.
        temperature: above 0.
    """
    with torch.autocast(z1.device.type, enabled=False):
        first = functional.normalize(gather_with_gradient(z1.float()), dim=1)
        second = functional.normalize(gather_with_gradient(z2.float()), dim=1)
        views = torch.cat([first, second])
        similarity = views @ views.T / temperature
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        similarity = similarity.masked_fill(itself, float("-inf"))
        partner = torch.arange(len(views), device=views.device).roll(len(first))
        return functional.cross_entropy(similarity, partner)
