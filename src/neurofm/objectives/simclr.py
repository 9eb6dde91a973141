"""SimCLR: two random views of each participant, one encoder, NT-Xent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurofm.augment.views import make_views
from neurofm.config.learning import ViewsConfig
from neurofm.config.objectives import SimCLRConfig
from neurofm.data.batch import Batch
from neurofm.distributed import gather_with_gradient
from neurofm.objectives.gradient_cache import encode_in_parts
from neurofm.objectives.losses import Losses
from neurofm.objectives.nt_xent import nt_xent
from neurofm.objectives.representation import alignment, effective_rank, uniformity


class SimCLR(nn.Module):
    """Contrast as in the paper, section 3.1.

    Args:
        encoder: volumes to features h.
        projector: features to projections z.
        config: the temperature.
        views: how views are drawn.
        seed: the recipe's seed; views depend on it, the epoch and the participant only.
        spacing_mm: voxel size of the volumes.
        gradient_cache: scans encoded at a time (see `encode_in_parts`); None for all.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        config: SimCLRConfig,
        *,
        views: ViewsConfig,
        seed: int,
        spacing_mm: float,
        gradient_cache: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector
        self._config, self._views = config, views
        self._seed, self._spacing_mm = seed, spacing_mm
        self._rows_at_once = gradient_cache

    def forward(self, batch: Batch) -> Losses:
        """The loss of one batch; two scans of a participant in it do not repel each other.

        The two views pass through the encoder one after the other, as in the released model:
        batch norm sees the statistics of one view at a time, those of all processes together.
        """
        h1, z1 = self._project(batch, view=0)
        h2, z2 = self._project(batch, view=1)
        loss = nt_xent(z1, z2, self._config.temperature, batch.items)
        return Losses(loss, {"nt_xent": loss.detach()}, _figures(h1, h2, z1, z2))

    def _project(self, batch: Batch, view: int) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            drawn = make_views(batch, self._views, self._seed, view, self._spacing_mm)
        if self._rows_at_once is None or not torch.is_grad_enabled():
            return self._encode(drawn.images)
        return encode_in_parts(self._encode, drawn.images, self._rows_at_once)

    def _encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(images)
        return features, self.projector(features)


@torch.no_grad()
def _figures(h1: Tensor, h2: Tensor, z1: Tensor, z2: Tensor) -> dict[str, float]:
    h1, h2, z1, z2 = (gather_with_gradient(tensor) for tensor in (h1, h2, z1, z2))
    return {
        "alignment": alignment(z1, z2),
        "uniformity": uniformity(torch.cat([z1, z2])),
        "effective_rank": effective_rank(torch.cat([h1, h2])),
    }
