"""A 3D vision transformer over patches, whose encoder can leave patches out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from neurofm.config.encoders import ViTConfig
from neurofm.models.footprint import Saving
from neurofm.models.monai_parts import TransformerBlock
from neurofm.models.patches import Grid, patchify, sinusoidal_positions, token_grid

Tokens = Float[Tensor, "batch tokens width"]
_MLP_RATIO = 4  # Dosovitskiy et al. 2021
_NOTHING = Saving()


class ViT(nn.Module):
    """Patches become tokens by one linear layer, get fixed positions, and pass through blocks.

    Blocks are MONAI's, with torch's scaled dot product attention. A class token goes with the
    patches, as in the MAE that the paper builds on (He et al. 2022). Positions are no weights: on
    another grid than the trained one they are computed anew (`sinusoidal_positions`).

    Args:
        config: width, depth, heads, patch and pooling.
        shape: voxels of the volumes it is trained on (z, y, x).
        saving: blocks keep their input only, and are computed again in backward.

    Raises:
        ConfigError: the patch does not divide the volume.
    """

    positions: Tensor

    def __init__(self, config: ViTConfig, shape: Grid, saving: Saving = _NOTHING) -> None:
        super().__init__()
        self.config, self._saving = config, saving
        self.trained_grid = token_grid(config, shape)
        self.embed = nn.Linear(_voxels(config), config.width)
        self.class_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.blocks = build_blocks(config.width, config.depth, config.heads)
        self.norm = nn.LayerNorm(config.width)
        positions = sinusoidal_positions(config.width, self.trained_grid, self.trained_grid)
        self.register_buffer("positions", positions, persistent=False)
        initialise(self)
        nn.init.normal_(self.class_token, std=0.02)

    def forward(
        self, images: Float[Tensor, "batch 1 depth height width"]
    ) -> Float[Tensor, "batch features"]:
        """Features of volumes: the mean of the patch tokens, or the class token, after the norm.

        Raises:
            ConfigError: the patch does not divide the volumes.
        """
        grid = self.grid_of(images)
        return self.pool(self.encode(patchify(images, self.config.patch_voxels), grid=grid))

    def encode(
        self,
        patches: Float[Tensor, "batch patches voxels"],
        kept: Int[Tensor, "batch kept"] | None = None,
        grid: Grid | None = None,
    ) -> Tokens:
        """Tokens of patches: the class token first, then the kept patches in their order.

        Args:
            patches: all of each volume, from `patchify`.
            kept: the patches that enter; None for all. The others cost nothing.
            grid: patches along each axis; None for the trained one.
        """
        positions = self.positions_on(grid or self.trained_grid).expand(patches.shape[0], -1, -1)
        if kept is not None:
            patches, positions = take(patches, kept), take(positions, kept)
        tokens = self.embed(patches) + positions
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1)
        tokens = through_blocks(self.blocks, tokens, self._saving.blocks)
        encoded: Tensor = self.norm(tokens)
        return encoded

    def pool(self, tokens: Tokens) -> Float[Tensor, "batch features"]:
        """Features of encoded tokens."""
        return tokens[:, 0] if self.config.pool == "class" else tokens[:, 1:].mean(dim=1)

    def grid_of(self, images: Float[Tensor, "batch 1 depth height width"]) -> Grid:
        """Patches along each axis of these volumes."""
        _, _, depth, height, width = images.shape
        return token_grid(self.config, (depth, height, width))

    def positions_on(self, grid: Grid) -> Float[Tensor, "patches width"]:
        """The positions of a grid's patches, between those of the trained grid where it differs."""
        if grid == self.trained_grid:
            return self.positions
        between = sinusoidal_positions(self.config.width, grid, self.trained_grid)
        return between.to(self.positions.device)


def build_blocks(width: int, depth: int, heads: int) -> nn.ModuleList:
    """MONAI's transformer blocks with biases, without dropout."""
    return nn.ModuleList(_block(width, heads) for _ in range(depth))


def through_blocks(blocks: nn.ModuleList, tokens: Tokens, is_frugal: bool) -> Tokens:
    """Tokens through all blocks; where asked to, each keeps its input only while it learns."""
    for block in blocks:
        run: Callable[[Tensor], Tensor] = block
        if is_frugal and torch.is_grad_enabled():
            tokens = checkpoint(run, tokens, use_reentrant=False)
        else:
            tokens = run(tokens)
    return tokens


def initialise(module: nn.Module) -> None:
    """Xavier's uniform weights and no biases in every linear layer (He et al. 2022)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def take(
    tokens: Float[Tensor, "batch tokens width"], chosen: Int[Tensor, "batch chosen"]
) -> Float[Tensor, "batch chosen width"]:
    """Chosen tokens of each row, in the order they are named."""
    return tokens.gather(1, chosen[:, :, None].expand(-1, -1, tokens.shape[2]))


def _block(width: int, heads: int) -> nn.Module:
    block: nn.Module = TransformerBlock(
        width, _MLP_RATIO * width, heads, qkv_bias=True, use_flash_attention=True
    )
    # Weights that a block without cross attention never uses; DDP waits for their gradients.
    block.norm_cross_attn = block.cross_attn = nn.Identity()
    return block


def _voxels(config: ViTConfig) -> int:
    z, y, x = config.patch_voxels
    return z * y * x
