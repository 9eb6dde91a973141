"""The decoder of a masked autoencoder: from the visible patches' tokens to the masked patches."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neurofm.config.encoders import ViTConfig
from neurofm.config.objectives import MAEConfig
from neurofm.models.encoder import build_with_seed
from neurofm.models.footprint import Saving
from neurofm.models.patches import Grid, sinusoidal_positions, token_grid
from neurofm.models.vit import build_blocks, initialise, take, through_blocks
from neurofm.seeds import seed_of
from neurofm.volumes.grids import model_shape

_NOTHING = Saving()


class MAEDecoder(nn.Module):
    """Puts a mask token where a patch is missing, and predicts the voxels that were there.

    Args:
        config: width, depth and heads.
        encoder: of the tokens that come in.
        grid: patches along each axis (z, y, x).
        saving: blocks keep their input only, and are computed again in backward.
    """

    positions: Tensor

    def __init__(
        self, config: MAEConfig, encoder: ViTConfig, grid: Grid, saving: Saving = _NOTHING
    ) -> None:
        super().__init__()
        width = config.decoder_width
        self._saving = saving
        self.embed = nn.Linear(encoder.width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = build_blocks(width, config.decoder_depth, config.decoder_heads)
        self.norm = nn.LayerNorm(width)
        self.predict = nn.Linear(width, math.prod(encoder.patch_voxels))
        positions = sinusoidal_positions(width, grid, grid)
        self.register_buffer("positions", positions, persistent=False)
        initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens width"],
        kept: Int[Tensor, "batch kept"],
        masked: Int[Tensor, "batch masked"],
    ) -> Float[Tensor, "batch masked voxels"]:
        """The voxels of the masked patches, in the order these are named.

        Args:
            tokens: of the class and the kept patches, as the encoder gave them.
            kept: which patches those are.
            masked: all others.
        """
        embedded = self.embed(tokens)
        visible, missing = embedded[:, 1:], self.mask_token.to(embedded.dtype)
        places = kept[:, :, None].expand_as(visible)
        whole = missing.repeat(len(tokens), len(self.positions), 1).scatter(1, places, visible)
        whole = torch.cat([embedded[:, :1], whole + self.positions], dim=1)
        decoded = self.norm(through_blocks(self.blocks, whole, self._saving.blocks))
        voxels: Tensor = self.predict(take(decoded[:, 1:], masked))
        return voxels


def build_mae_decoder(
    config: MAEConfig,
    encoder: ViTConfig,
    seed: int = 0,
    saving: Saving = _NOTHING,
    *,
    spacing_mm: float = 1.0,
) -> MAEDecoder:
    """A freshly initialised decoder; equal seeds give equal weights.

    Raises:
        ConfigError: the encoder's patch does not divide the volume.
    """
    grid = token_grid(encoder, model_shape(spacing_mm))
    return build_with_seed(
        lambda: MAEDecoder(config, encoder, grid, saving), seed_of("decoder", seed)
    )
