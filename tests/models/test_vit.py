"""The vision transformer: its size, what it computes, what it leaves out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from neurofm.config.encoders import ViTConfig
from neurofm.errors import ConfigError
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.patches import patchify, sinusoidal_positions
from neurofm.models.vit import ViT, take

_SMALL = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 8, 8))
_SIZES = {
    "tiny": ViTConfig(),
    "base": ViTConfig(width=768, depth=12, heads=12),
    "large": ViTConfig(width=1024, depth=24, heads=16),
}


def _small(seed: int = 1, saving: Saving = Saving()) -> ViT:  # noqa: B008 - frozen
    encoder = build_encoder(_SMALL, seed, saving, spacing_mm=6.0)
    assert isinstance(encoder, ViT)
    return encoder


def _images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, 25, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "millions"), [("tiny", 6.57), ("base", 89.97), ("large", 308.87)])
def test_the_number_of_weights_is_that_of_the_architecture(size: str, millions: float) -> None:
    config = _SIZES[size]
    width, voxels = config.width, 25 * 16 * 16
    embed = voxels * width + width
    attention = width * 3 * width + 3 * width + width * width + width
    mlp = width * 4 * width + 4 * width + 4 * width * width + width
    block = attention + mlp + 2 * 2 * width
    expected = embed + width + config.depth * block + 2 * width  # class token, last norm
    with torch.device("meta"):
        encoder = ViT(config, (150, 192, 192))
    assert sum(each.numel() for each in encoder.parameters()) == expected
    assert expected / 1e6 == pytest.approx(millions, abs=0.005)


def test_features_have_the_width_of_a_token() -> None:
    assert _small()(_images()).shape == (2, _SMALL.features)


def test_a_pass_equals_one_written_out() -> None:
    encoder, images = _small().double().eval(), _images().double()
    tokens = functional.linear(
        patchify(images, (5, 8, 8)), encoder.embed.weight, encoder.embed.bias
    )
    tokens = tokens + sinusoidal_positions(24, (5, 4, 4), (5, 4, 4))
    tokens = torch.cat([encoder.class_token.expand(2, 1, 24), tokens], dim=1)
    for block in encoder.blocks:
        normed = functional.layer_norm(tokens, (24,), block.norm1.weight, block.norm1.bias)
        qkv = functional.linear(normed, block.attn.qkv.weight, block.attn.qkv.bias)
        q, k, v = (part.reshape(2, 81, 3, 8).transpose(1, 2) for part in qkv.split(24, dim=2))
        weights = torch.softmax(q @ k.transpose(2, 3) / 8**0.5, dim=3)
        mixed = (weights @ v).transpose(1, 2).reshape(2, 81, 24)
        tokens = tokens + block.attn.out_proj(mixed)
        normed = functional.layer_norm(tokens, (24,), block.norm2.weight, block.norm2.bias)
        tokens = tokens + block.mlp.linear2(functional.gelu(block.mlp.linear1(normed)))
    tokens = functional.layer_norm(tokens, (24,), encoder.norm.weight, encoder.norm.bias)
    assert torch.allclose(encoder(images), tokens[:, 1:].mean(dim=1), atol=1e-6)


def test_the_class_token_can_be_the_features() -> None:
    config = _SMALL.model_copy(update={"pool": "class"})
    encoder = build_encoder(config, 1, spacing_mm=6.0).eval()
    assert isinstance(encoder, ViT)
    tokens = encoder.encode(patchify(_images(), (5, 8, 8)))
    assert torch.equal(encoder(_images()), tokens[:, 0])


def test_patches_that_are_left_out_change_nothing() -> None:
    encoder = _small().eval()
    kept = torch.stack([torch.arange(0, 80, 4), torch.arange(1, 80, 4)])
    patches = patchify(_images(), (5, 8, 8))
    spoiled = torch.full_like(patches, 1e6).scatter(
        1, kept[:, :, None].expand(-1, -1, 320), take(patches, kept)
    )
    assert torch.equal(encoder.encode(patches, kept), encoder.encode(spoiled, kept))


def test_a_quarter_of_the_patches_costs_less_than_three_tenths_of_all() -> None:
    with torch.device("meta"):
        encoder, images = ViT(ViTConfig(), (150, 192, 192)), torch.empty(1, 1, 150, 192, 192)
        patches, kept = patchify(images, (25, 16, 16)), torch.zeros(1, 216, dtype=torch.int64)
    counts = []
    for chosen in (kept, None):
        with FlopCounterMode(display=False) as counter:
            encoder.encode(patches, chosen)
        counts.append(counter.get_total_flops())
    assert 0.15 < counts[0] / counts[1] <= 0.30


def test_equal_seeds_give_equal_weights() -> None:
    first, again, other = (_small(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embed.weight"], other["embed.weight"])


def test_positions_are_no_part_of_the_weights() -> None:
    assert "positions" not in _small().state_dict()


def test_weights_work_on_another_grid_of_the_same_patch() -> None:
    finer = torch.randn(1, 1, 50, 64, 64, generator=torch.Generator().manual_seed(0))
    encoder = _small().eval()
    assert encoder(finer).shape == (1, 24)
    assert torch.equal(
        encoder.positions_on((10, 8, 8)), sinusoidal_positions(24, (10, 8, 8), (5, 4, 4))
    )


def test_volumes_that_the_patch_does_not_divide_are_refused() -> None:
    with pytest.raises(ConfigError, match="along y.*nearest that do"):
        _small()(torch.zeros(1, 1, 25, 36, 32))
    with pytest.raises(ConfigError, match="along z"):
        build_encoder(ViTConfig(patch_voxels=(16, 16, 16)), spacing_mm=3.0)


def test_checkpointed_blocks_give_the_same_gradients_and_keep_less() -> None:
    gradients, kept = [], []
    for saving in (Saving(), Saving(blocks=True)):
        encoder, sizes = _small(saving=saving).double(), [0]
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, sizes=sizes: sizes.append(tensor.numel()) or tensor,
            lambda tensor: tensor,
        ):
            loss = encoder(_images().double()).square().sum()
        loss.backward()
        gradients.append(torch.cat([each.grad.flatten() for each in encoder.parameters()
                                    if each.grad is not None]))  # fmt: skip
        kept.append(sum(sizes))
    assert torch.allclose(gradients[0], gradients[1], rtol=1e-10, atol=1e-12)
    assert kept[1] < 0.4 * kept[0]
