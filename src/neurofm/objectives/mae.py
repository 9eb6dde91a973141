"""Masked autoencoding: most patches are hidden, and predicted from the others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from neurofm.augment.views import make_views
from neurofm.config.learning import ViewsConfig
from neurofm.config.objectives import MAEConfig
from neurofm.data.batch import Batch
from neurofm.distributed import gather_with_gradient
from neurofm.models.mae_decoder import MAEDecoder
from neurofm.models.patches import patchify
from neurofm.models.vit import ViT, take
from neurofm.objectives.losses import Evidence, Losses
from neurofm.objectives.masking import Masking, draw_masking
from neurofm.objectives.representation import effective_rank

_SMALL = 1e-6  # added to a patch's variance (He et al. 2022)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a masked autoencoder makes of volumes.

    Attributes:
        masking: which patches were hidden.
        patches: all patches of the volumes, as they were.
        predicted: the hidden ones, as the decoder has them; of normalised patches where the
            objective says so.
        features: of the visible patches.
    """

    masking: Masking
    patches: Float[Tensor, "batch patches voxels"]
    predicted: Float[Tensor, "batch masked voxels"]
    features: Float[Tensor, "batch features"]


class MAE(nn.Module):
    """Masked autoencoding as in the paper, section 3.2.

    Args:
        encoder: volumes to features; may leave patches out.
        decoder: of its tokens.
        config: the share of masked patches and what the loss is taken over.
        views: how views are drawn.
        seed: the recipe's seed; views and masks depend on it, the epoch or step, the participant.
        spacing_mm: voxel size of the volumes.
    """

    def __init__(
        self,
        encoder: ViT,
        decoder: MAEDecoder,
        config: MAEConfig,
        *,
        views: ViewsConfig,
        seed: int,
        spacing_mm: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.config, self._views = config, views
        self._seed, self._spacing_mm = seed, spacing_mm

    def forward(self, batch: Batch) -> Losses:
        """The loss of one batch, over the masked patches of all processes."""
        with torch.no_grad():
            drawn = make_views(batch, self._views, self._seed, 0, self._spacing_mm)
        made = self.reconstruct(drawn.images, drawn.items, batch.step)
        errors = gather_with_gradient(self._errors(made))
        with torch.no_grad():
            is_brain = gather_with_gradient(self._holds_brain(drawn.masks, made.masking))
            weights = is_brain.float() if self.config.only_brain else torch.ones_like(errors)
        loss = (errors * weights).sum() / weights.sum().clamp(min=1)
        with torch.no_grad():
            features = gather_with_gradient(made.features.detach())
        evidence = Evidence((errors.detach(), is_brain, features), _figures)
        return Losses(loss, {"mse": loss.detach()}, evidence.figures(), evidence)

    def reconstruct(
        self, images: Float[Tensor, "batch 1 depth height width"], items: tuple[str, ...], step: int
    ) -> Reconstruction:
        """Hide patches of z-scored volumes and predict them; no masked patch enters the encoder.

        Args:
            images: volumes on the grid that the decoder was built for.
            items: participant of each, the mask's random stream.
            step: of the run; another step gives another mask.
        """
        patches = patchify(images, self.encoder.config.patch_voxels)
        drawn = draw_masking(items, patches.shape[1], self.config.mask_ratio, self._seed, step)
        masking = Masking(drawn.kept.to(images.device), drawn.masked.to(images.device))
        tokens = self.encoder.encode(patches, masking.kept)
        predicted = self.decoder(tokens, masking.kept, masking.masked)
        return Reconstruction(masking, patches, predicted, self.encoder.pool(tokens))

    def _errors(self, made: Reconstruction) -> Float[Tensor, "batch masked"]:
        """Mean squared error of each masked patch, in float32 (equation 2, a voxel's share)."""
        with torch.autocast(made.patches.device.type, enabled=False):
            target = take(made.patches, made.masking.masked)
            if self.config.normalise_patches:
                mean, deviation = patch_moments(target)
                target = (target - mean) / deviation
            predicted = made.predicted.to(torch.promote_types(made.predicted.dtype, target.dtype))
            return (predicted - target).square().mean(dim=2)

    def _holds_brain(
        self, masks: Bool[Tensor, "batch 1 depth height width"], masking: Masking
    ) -> Bool[Tensor, "batch masked"]:
        inside = patchify(masks, self.encoder.config.patch_voxels).any(dim=2)
        return inside.gather(1, masking.masked)


def patch_moments(
    patches: Float[Tensor, "batch patches voxels"],
) -> tuple[Float[Tensor, "batch patches 1"], Float[Tensor, "batch patches 1"]]:
    """Mean and standard deviation of each patch, as `normalise_patches` takes them."""
    variance, mean = torch.var_mean(patches, dim=2, keepdim=True)
    return mean, (variance + _SMALL).sqrt()


@torch.no_grad()
def _figures(
    errors: Float[Tensor, "all masked"], is_brain: Bool[Tensor, "all masked"], features: Tensor
) -> dict[str, float]:
    brain = errors[is_brain]
    return {
        "mse_all_patches": float(errors.mean()),
        "mse_brain_patches": float(brain.mean()) if brain.numel() else 0.0,
        "effective_rank": effective_rank(features),
    }
