"""The arithmetic of transformers agrees with what torch counts while it computes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from neurofm.config.encoders import ViTConfig
from neurofm.config.objectives import MAEConfig
from neurofm.models.flops import Grid, ViewFlops
from neurofm.models.mae_decoder import MAEDecoder
from neurofm.models.patches import patchify, token_grid
from neurofm.models.vit import ViT
from neurofm.models.vit_flops import mae_pass, vit_pass

_FULL, _SMALL = (150, 192, 192), (25, 32, 32)
_TINY, _BASE = ViTConfig(), ViTConfig(width=768, depth=12, heads=12)
_LARGE = ViTConfig(width=1024, depth=24, heads=16)
_NARROW = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 4, 4))
_SIZES = [(_TINY, _FULL), (_BASE, _FULL), (_LARGE, _FULL), (_NARROW, _SMALL)]


def _counted(forward: nn.Module, *inputs: Tensor) -> tuple[int, int]:
    """Operations torch counts forward, and forward with backward; no number is computed."""
    with FlopCounterMode(display=False) as ahead:
        result: Tensor = forward(*inputs)
    with FlopCounterMode(display=False) as back:
        result.sum().backward()
    return ahead.get_total_flops(), ahead.get_total_flops() + back.get_total_flops()


class _Reconstruction(nn.Module):
    """Encoder and decoder of a masked autoencoder, one after the other."""

    def __init__(self, config: ViTConfig, objective: MAEConfig, shape: Grid) -> None:
        super().__init__()
        self.encoder = ViT(config, shape)
        self.decoder = MAEDecoder(objective, config, token_grid(config, shape))

    def forward(self, images: Tensor, kept: Tensor, masked: Tensor) -> Tensor:
        patches = patchify(images, self.encoder.config.patch_voxels)
        predicted: Tensor = self.decoder(self.encoder.encode(patches, kept), kept, masked)
        return predicted


def _summed(flops: ViewFlops) -> tuple[int, int]:
    return flops.stem + flops.blocks, flops.step


@pytest.mark.parametrize(("config", "grid"), _SIZES)
def test_operations_of_an_encoder_are_those_torch_counts(config: ViTConfig, grid: Grid) -> None:
    with torch.device("meta"):
        counted = _counted(ViT(config, grid), torch.empty(1, 1, *grid))
    assert _summed(vit_pass(config, grid).flops) == counted


@pytest.mark.parametrize("mask_count", [1, 240, 319])
@pytest.mark.parametrize(("config", "grid"), _SIZES)
def test_operations_of_a_masked_autoencoder_are_those_torch_counts(
    config: ViTConfig, grid: Grid, mask_count: int
) -> None:
    objective = MAEConfig(decoder_width=48, decoder_heads=4, decoder_depth=3)
    passed = mae_pass(config, objective, grid, mask_count)
    with torch.device("meta"):
        order = torch.zeros(1, passed.patches, dtype=torch.long)
        counted = _counted(
            _Reconstruction(config, objective, grid),
            torch.empty(1, 1, *grid),
            order[:, mask_count:],
            order[:, :mask_count],
        )
    assert _summed(passed.flops) == counted


@pytest.mark.parametrize(
    ("config", "gigaflops", "share"), [(_TINY, 190, 0.05), (_BASE, 301, 0.40), (_LARGE, 594, 0.70)]
)
def test_a_step_of_the_papers_masked_autoencoders_is_what_the_docs_say(
    config: ViTConfig, gigaflops: int, share: float
) -> None:
    passed = mae_pass(config, MAEConfig(), _FULL, 648)
    assert round(passed.flops.step / 1e9) == gigaflops
    assert passed.encoder_flops.step / passed.flops.step == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize(("config", "grid"), _SIZES)
def test_weights_of_transformers_are_counted_as_they_are_built(
    config: ViTConfig, grid: Grid
) -> None:
    with torch.device("meta"):
        whole = _Reconstruction(config, MAEConfig(), grid)
    counts = [sum(w.numel() for w in each.parameters()) for each in (whole.encoder, whole)]
    passed = (vit_pass(config, grid), mae_pass(config, MAEConfig(), grid, 100))
    assert [each.weights for each in passed] == counts
