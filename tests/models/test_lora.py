"""Adapters: nothing before they learn, small, and gone once they are merged."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.errors import ConfigError
from neurofm.models.encoder import build_encoder
from neurofm.models.lora import add_adapters, merged_state

_VIT = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 8, 8))
_RESNET = ResNetConfig(widths=(4, 8, 8, 16), stem_stride=2)
_GROUP = ResNetConfig(widths=(4, 8, 8, 16), norm="group", norm_groups=4)
_ALL = pytest.mark.parametrize("config", [_VIT, _RESNET, _GROUP])
Config = ViTConfig | ResNetConfig


def _images() -> Tensor:
    return torch.randn(2, 1, 25, 32, 32, generator=torch.Generator().manual_seed(0))


def _adapted(config: Config, rank: int = 3, seed: int = 0) -> nn.Module:
    encoder = build_encoder(config, spacing_mm=6.0).eval()
    add_adapters(encoder, rank, 2.0 * rank, seed)
    return encoder


def _learnt(encoder: nn.Module) -> nn.Module:
    """With adapters that have learnt something."""
    generator = torch.Generator().manual_seed(1)
    for name, each in encoder.named_parameters():
        if "lora_B" in name:
            each.data.normal_(std=0.1, generator=generator)
    return encoder


@_ALL
@torch.no_grad()
def test_before_the_first_step_the_features_are_those_of_the_plain_encoder(config: Config) -> None:
    plain = build_encoder(config, spacing_mm=6.0).eval()
    assert torch.equal(_adapted(config)(_images()), plain(_images()))


@_ALL
@torch.no_grad()
def test_a_merged_encoder_predicts_what_the_adapted_one_did(config: Config) -> None:
    adapted, plain = _learnt(_adapted(config)), build_encoder(config, spacing_mm=6.0).eval()
    before = plain(_images())
    plain.load_state_dict(merged_state(adapted))
    expected = adapted(_images())
    assert float((plain(_images()) - expected).norm() / expected.norm()) < 1e-5
    assert float((before - expected).norm() / expected.norm()) > 1e-3


@_ALL
def test_merging_leaves_the_adapted_encoder_as_it_was(config: Config) -> None:
    adapted = _learnt(_adapted(config))
    before = {name: each.clone() for name, each in adapted.state_dict().items()}
    merged_state(adapted)
    after = adapted.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


@_ALL
def test_without_adapters_nothing_is_merged(config: Config) -> None:
    plain = build_encoder(config, spacing_mm=6.0)
    state, merged = plain.state_dict(), merged_state(plain)
    assert list(merged) == list(state)
    assert all(
        merged[name] is state[name] or torch.equal(merged[name], state[name]) for name in state
    )


def test_of_a_transformer_the_two_layers_of_attention_have_adapters() -> None:
    trained = {name: each for name, each in _adapted(_VIT).named_parameters() if each.requires_grad}
    assert {name.split(".lora_")[0].split(".", 2)[2] for name in trained} == {
        "attn.qkv",
        "attn.out_proj",
    }
    width, rank = 24, 3
    of_block = rank * (width + 3 * width) + rank * (width + width)
    assert sum(each.numel() for each in trained.values()) == 2 * of_block


def test_of_a_resnet_every_convolution_has_an_adapter() -> None:
    plain = build_encoder(_RESNET, spacing_mm=6.0)
    rank = 3
    expected = sum(
        rank * layer.in_channels * layer.weight[0, 0].numel() + rank * layer.out_channels
        for layer in plain.modules()
        if isinstance(layer, nn.Conv3d)
    )
    trained = {n: each for n, each in _adapted(_RESNET).named_parameters() if each.requires_grad}
    assert sum(each.numel() for each in trained.values()) == expected
    assert all(".lora_" in name for name in trained)


@_ALL
def test_adapters_depend_on_the_seed_alone(config: Config) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = _adapted(config, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    same, other = _adapted(config, seed=1).state_dict(), _adapted(config, seed=2).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    drawn = [name for name in one if "lora_A" in name]
    assert drawn
    assert not any(torch.equal(one[name], other[name]) for name in drawn)


def test_without_peft_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"pip install 'neurofm\[lora\]'") as told:
        _adapted(_VIT)
    assert "\n" not in str(told.value)
