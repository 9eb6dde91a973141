"""The encoder and projector against the released model's layout and values."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from neurofm.config.encoders import ResNetConfig
from neurofm.models.encoder import build_encoder
from neurofm.models.projector import build_projector

_TINY = ResNetConfig(widths=(4, 8, 8, 16))


def _model() -> nn.ModuleDict:
    return nn.ModuleDict(
        {"encoder": build_encoder(ResNetConfig()), "projector": build_projector(512, 64)}
    )


def _reference_tensor(name: str, shape: list[int]) -> Tensor:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    if name.endswith("running_var"):
        value = 0.5 + rng.random(shape)
    elif name.endswith("running_mean"):
        value = 0.1 * rng.standard_normal(shape)
    elif len(shape) > 1:
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        value = 1 + 0.1 * rng.standard_normal(shape)
    else:
        value = 0.05 * rng.standard_normal(shape)
    return torch.from_numpy(value.astype(np.float32))


@pytest.fixture(scope="module")
def layout(shared: Path) -> dict[str, list[int]]:
    text = (shared / "reference" / "checkpoint_layout.json").read_text()
    names: dict[str, list[int]] = json.loads(text)["model_state_dict"]
    return names


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Tensor]:
    with np.load(shared / "reference" / "reference_values.npz") as values:
        return {
            name: torch.from_numpy(values[name])
            for name in values.files
            if values[name].dtype == np.float32
        }


def _with_reference_weights(layout: dict[str, list[int]]) -> nn.ModuleDict:
    model = _model()
    model.load_state_dict({name: _reference_tensor(name, shape) for name, shape in layout.items()})
    return model


def _input(seed: int) -> Tensor:
    values = np.random.default_rng(seed).standard_normal((2, 1, 30, 40, 40))
    return torch.from_numpy(values.astype(np.float32))


def _relative_error(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).norm() / expected.norm())


def test_names_and_shapes_are_those_of_the_released_model(layout: dict[str, list[int]]) -> None:
    ours = {name: list(tensor.shape) for name, tensor in _model().state_dict().items()}
    assert ours == layout
    assert len(ours) == 125


def test_the_released_model_has_as_many_parameters_as_published() -> None:
    model = _model()
    assert sum(p.numel() for p in model["encoder"].parameters()) == 33_160_896
    assert sum(p.numel() for p in model.parameters()) == 33_455_808


def test_features_and_projections_equal_the_released_model_in_evaluation_mode(
    layout: dict[str, list[int]], reference: dict[str, Tensor]
) -> None:
    model = _with_reference_weights(layout).eval()
    with torch.no_grad():
        for view, seed in (("i", 1), ("j", 2)):
            features = model["encoder"](_input(seed))
            assert _relative_error(features, reference[f"h_{view}"]) < 1e-4
            projection = model["projector"](features)
            assert _relative_error(projection, reference[f"z_{view}"]) < 1e-4


def test_two_separate_passes_equal_the_released_model_in_training_mode(
    layout: dict[str, list[int]], reference: dict[str, Tensor]
) -> None:
    encoder = _with_reference_weights(layout).train()["encoder"]
    with torch.no_grad():
        assert _relative_error(encoder(_input(1)), reference["train_h_i"]) < 1e-4
        assert _relative_error(encoder(_input(2)), reference["train_h_j"]) < 1e-4
    buffers = dict(encoder.named_buffers())
    for name in ("running_mean", "running_var"):
        expected = reference[f"bn1_{name}_after"]
        assert _relative_error(buffers[f"bn1.{name}"], expected) < 1e-4


def test_equal_seeds_give_equal_encoders_and_other_seeds_others() -> None:
    first, again, other = (build_encoder(_TINY, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_building_leaves_torchs_random_state_alone() -> None:
    before = torch.get_rng_state()
    build_encoder(_TINY, seed=3)
    build_projector(16, 4, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_narrow_encoder_gives_as_many_features_as_its_last_width(stride: int) -> None:
    encoder = build_encoder(ResNetConfig(widths=(4, 8, 8, 16), stem_stride=stride))
    assert encoder(torch.zeros(2, 1, 25, 32, 32)).shape == (2, 16)


def test_the_projector_has_no_bias_and_released_names() -> None:
    state = build_projector(16, 4).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "0.weight": (16, 16),
        "2.weight": (4, 16),
    }
