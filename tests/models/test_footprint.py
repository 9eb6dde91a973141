"""The arithmetic of memory agrees with the tensors autograd really keeps."""

from __future__ import annotations

from itertools import accumulate
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from neurofm.config.encoders import ResNetConfig
from neurofm.models import batch_statistics, footprint
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import (
    Saving,
    encoder_weights,
    projector_weights,
    view_footprint,
)
from neurofm.models.projector import build_projector

_FULL = (150, 192, 192)
_SMALL = ResNetConfig(widths=(8, 16, 16, 32))


def _bytes_kept(
    config: ResNetConfig, grid: tuple[int, int, int], precision: Literal["float32", "bf16"]
) -> int:
    """Bytes of the distinct tensors autograd keeps for backward, weights left out.

    All in one format: autocast pools in float32 on a CPU, and only there.
    """
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    encoder = build_encoder(config).to(dtype)
    weights = {each.data_ptr() for each in (*encoder.parameters(), *encoder.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.ndim == 5 and len(tensor) == 2:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    images = torch.randn(2, 1, *grid, dtype=dtype)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        features = encoder(images)
    assert features.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("grid", [(24, 32, 32), (25, 31, 30)])
def test_a_view_keeps_what_autograd_keeps(
    grid: tuple[int, int, int], precision: Literal["float32", "bf16"]
) -> None:
    expected = _bytes_kept(_SMALL, grid, precision)
    kept = 2 * view_footprint(_SMALL, grid, precision, Saving()).kept
    assert kept == pytest.approx(expected, rel=0.01)


def test_a_full_size_view_keeps_five_gigabytes_in_float32() -> None:
    assert view_footprint(ResNetConfig(), _FULL, "float32", Saving()).kept / 1e9 == pytest.approx(
        5.3, abs=0.1
    )


def test_each_saving_keeps_less() -> None:
    savings = [Saving(), Saving(stem=True), Saving(stem=True, blocks=True)]
    kept = [view_footprint(ResNetConfig(), _FULL, "bf16", each).kept for each in savings]
    assert kept[0] > 2 * kept[1] > 4 * kept[2]


def _peak_bytes(
    config: ResNetConfig, grid: tuple[int, int, int], saving: Saving, views: int = 6
) -> int:
    """The most that the tensors of a pass held, images and gradients left out."""
    encoder = build_encoder(config, saving=saving)
    encoder.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    images = torch.randn(views, 1, *grid)
    for parameter in encoder.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        encoder(images).sum().backward()
    assert profiled.profiler is not None
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(events, key=lambda e: e.start_ns()))
    return max(held)


@pytest.mark.parametrize(
    "saving",
    [
        Saving(),
        pytest.param(Saving(stem=True), marks=pytest.mark.slow),
        pytest.param(Saving(blocks=True), marks=pytest.mark.slow),
        Saving(stem=True, blocks=True),
    ],
    ids=str,
)
def test_the_peak_of_a_pass_is_the_one_measured(saving: Saving) -> None:
    grid, config = (50, 64, 64), ResNetConfig(widths=(16, 16, 16, 16))
    expected = view_footprint(config, grid, "float32", saving)
    images = 6 * expected.segments[0].kept
    assert expected.peak(6) - images == pytest.approx(_peak_bytes(config, grid, saving), rel=0.2)


def test_pieces_are_as_large_as_they_are_thought_to_be() -> None:
    assert footprint._PIECE_VALUES == batch_statistics._VALUES_AT_ONCE


def test_the_peak_of_a_pass_in_small_pieces_is_the_one_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch_statistics, "_VALUES_AT_ONCE", 2**20)
    monkeypatch.setattr(footprint, "_PIECE_VALUES", 2**20)
    grid, config = (50, 64, 64), ResNetConfig(widths=(16, 16, 16, 16))
    both = Saving(stem=True, blocks=True)
    expected = view_footprint(config, grid, "float32", both)
    images = 16 * expected.segments[0].kept
    measured = _peak_bytes(config, grid, both, views=16)
    assert expected.peak(16) - images == pytest.approx(measured, rel=0.1)


def test_weights_are_counted_as_they_are_built() -> None:
    encoder, projector = build_encoder(_SMALL), build_projector(32, 7)
    built = sum(each.numel() for each in (*encoder.parameters(), *projector.parameters()))
    assert encoder_weights(_SMALL) + projector_weights(32, 7) == built
