"""Arithmetic of transformers: operations and weights of a pass, counted from its layers' shapes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neurofm.config.encoders import ViTConfig
from neurofm.config.objectives import MAEConfig
from neurofm.models.flops import Grid, ViewFlops
from neurofm.models.patches import token_grid

_LAST = 4  # the second layer of a block's MLP: weights, in widths squared
_LINEAR = 3 + 1 + 4 + _LAST  # of all: queries, keys and values; projection; both of the MLP
_BIASES_AND_NORMS = 3 + 1 + 4 + 1 + 2 * 2  # of a block: weights, in widths


@dataclass(frozen=True)
class Blocks:
    """Equal transformer blocks, and the tokens of a volume that pass through them.

    Attributes:
        tokens: the class token among them.
        width: numbers of a token.
        depth: blocks.
        heads: of attention.
    """

    tokens: int
    width: int
    depth: int
    heads: int

    @property
    def flops(self) -> int:
        """Forward: the linear layers, and attention's two products of all tokens with all."""
        linear = 2 * _LINEAR * self.tokens * self.width**2
        attention = 2 * 2 * self.tokens**2 * self.width
        return self.depth * (linear + attention)

    @property
    def flops_again(self) -> int:
        """Of checkpointed blocks in backward: all but the last layer, whose result is no use."""
        return self.flops - self.depth * 2 * _LAST * self.tokens * self.width**2

    @property
    def weights(self) -> int:
        """Of all blocks."""
        return self.depth * (_LINEAR * self.width**2 + _BIASES_AND_NORMS * self.width)

    @property
    def numbers(self) -> int:
        """Of all tokens between two blocks."""
        return self.tokens * self.width


@dataclass(frozen=True)
class Decoding:
    """What a masked autoencoder's decoder does with a volume.

    Attributes:
        blocks: with a token for every patch, visible or not.
        masked: patches whose voxels are predicted.
    """

    blocks: Blocks
    masked: int


@dataclass(frozen=True)
class TransformerPass:
    """What of one volume passes through a transformer.

    Attributes:
        patch_voxels: voxels of a patch.
        patches: of the volume.
        blocks: the encoder's, with the tokens that enter it.
        decoding: None but for a masked autoencoder.
    """

    patch_voxels: int
    patches: int
    blocks: Blocks
    decoding: Decoding | None = None

    @property
    def encoder_flops(self) -> ViewFlops:
        """The embedding stands for the stem; norms and activations add less than 1 %."""
        entering = self.blocks.tokens - 1
        embedding = 2 * entering * self.patch_voxels * self.blocks.width
        return ViewFlops(embedding, self.blocks.flops)

    @property
    def decoder_flops(self) -> ViewFlops:
        """The encoder's tokens embedded, all tokens decoded, the masked patches predicted."""
        if self.decoding is None:
            return ViewFlops(0, 0)
        inner = self.decoding.blocks
        embedding = 2 * self.blocks.numbers * inner.width
        prediction = 2 * self.decoding.masked * inner.width * self.patch_voxels
        return ViewFlops(0, embedding + inner.flops + prediction)

    @property
    def flops(self) -> ViewFlops:
        """Encoder and decoder."""
        encoder, decoder = self.encoder_flops, self.decoder_flops
        return ViewFlops(encoder.stem + decoder.stem, encoder.blocks + decoder.blocks)

    @property
    def flops_again(self) -> int:
        """Computed twice where blocks are checkpointed."""
        decoder = self.decoding.blocks.flops_again if self.decoding else 0
        return self.blocks.flops_again + decoder

    @property
    def weights(self) -> int:
        """Of encoder and decoder; each has a token and a norm of its own."""
        width, voxels = self.blocks.width, self.patch_voxels
        weights = (voxels + 1) * width + self.blocks.weights + 3 * width
        if self.decoding is None:
            return weights
        inner = self.decoding.blocks
        weights += (width + 1) * inner.width + inner.weights + 3 * inner.width
        return weights + (inner.width + 1) * voxels


def vit_pass(config: ViTConfig, grid: Grid) -> TransformerPass:
    """All patches of a volume through the encoder.

    Args:
        config: width, depth, heads and patch.
        grid: voxels of the volume (z, y, x).

    Raises:
        ConfigError: the patch does not divide the volume.
    """
    patches = math.prod(token_grid(config, grid))
    blocks = Blocks(patches + 1, config.width, config.depth, config.heads)
    return TransformerPass(math.prod(config.patch_voxels), patches, blocks)


def mae_pass(
    config: ViTConfig, objective: MAEConfig, grid: Grid, mask_count: int
) -> TransformerPass:
    """The visible patches through the encoder, all tokens through the decoder.

    A step of the paper's MAE needs 190 GFLOP a participant with ViT-Tiny at 150x192x192.

    Args:
        config: the encoder's width, depth, heads and patch.
        objective: the decoder's width, depth and heads.
        grid: voxels of the volume (z, y, x).
        mask_count: patches that are masked, of each volume.

    Raises:
        ConfigError: the patch does not divide the volume.
    """
    whole = vit_pass(config, grid)
    visible = Blocks(whole.blocks.tokens - mask_count, config.width, config.depth, config.heads)
    inner = Blocks(
        whole.blocks.tokens,
        objective.decoder_width,
        objective.decoder_depth,
        objective.decoder_heads,
    )
    return TransformerPass(whole.patch_voxels, whole.patches, visible, Decoding(inner, mask_count))
