"""A streamed stem and checkpointed blocks: the plain encoder's numbers with less memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neurofm.config.encoders import ResNetConfig
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving

_WAYS = (Saving(), Saving(stem=True), Saving(blocks=True), Saving(stem=True, blocks=True))


@dataclass(frozen=True, eq=False)
class _Step:
    features: Tensor
    gradients: Tensor
    of_images: Tensor
    buffers: Tensor


def _varied(encoder: nn.Module) -> nn.Module:
    """Norms with other weights than at the beginning, some of them below 0."""
    generator = torch.Generator().manual_seed(3)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm3d | nn.GroupNorm):
            for each in (module.weight, module.bias):
                each.data += 0.3 * torch.randn(each.shape, generator=generator)
            module.weight.data[::3] *= -1
    return encoder


def _step(
    encoder: nn.Module, dtype: torch.dtype, grid: tuple[int, int, int] = (17, 20, 24)
) -> _Step:
    """Two passes and one way back, as a contrastive step has them."""
    encoder.to(dtype)
    generator = torch.Generator().manual_seed(4)
    images = torch.randn(4, 1, *grid, generator=generator, dtype=torch.float64).to(dtype)
    images.requires_grad_()
    first, second = encoder(images), encoder(images.flip(2))
    aim = torch.randn(first.shape, generator=generator, dtype=torch.float64).to(dtype)
    (first * aim).sum().add((second * aim.flip(0)).sum()).backward()
    assert images.grad is not None
    gradients = [each.grad.flatten() for each in encoder.parameters() if each.grad is not None]
    buffers = [each.double().flatten() for each in encoder.buffers()] or [torch.ones(1)]
    return _Step(first.detach(), torch.cat(gradients), images.grad, torch.cat(buffers))


def _apart(given: _Step, expected: _Step) -> float:
    pairs = zip(vars(given).values(), vars(expected).values(), strict=True)
    return max(_relative(a, b) for a, b in pairs)


def _relative(given: Tensor, expected: Tensor) -> float:
    return float((given.double() - expected.double()).norm() / expected.double().norm())


def _encoder(saving: Saving = _WAYS[0], **knobs: Any) -> nn.Module:
    return _varied(build_encoder(ResNetConfig(widths=(4, 8, 8, 16), **knobs), 1, saving))


@pytest.mark.parametrize("saving", _WAYS[1:])
def test_features_gradients_and_buffers_are_those_of_the_plain_encoder(saving: Saving) -> None:
    for dtype, limit in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        expected, given = _step(_encoder(), dtype), _step(_encoder(saving), dtype)
        assert _apart(given, expected) < limit


@pytest.mark.parametrize(
    "knobs",
    [{"stem_stride": 2}, {"norm": "group", "norm_groups": 2}],
    ids=["stride 2", "group norm"],
)
def test_they_agree_with_the_plain_encoder_at_other_knobs(knobs: dict[str, Any]) -> None:
    expected, given = (
        _step(_encoder(saving, **knobs), torch.float64) for saving in (_WAYS[0], _WAYS[3])
    )
    assert _apart(given, expected) < 1e-10


def test_they_agree_where_the_norms_were_made_to_gather() -> None:
    expected, given = (
        _step(synchronise_batch_norm(_encoder(saving), torch.device("cpu")), torch.float64)
        for saving in (_WAYS[0], _WAYS[3])
    )
    assert _apart(given, expected) < 1e-10


def test_with_channels_last_float32_is_close_to_float64() -> None:
    expected = _step(_encoder(), torch.float64)
    laid_out = _encoder(_WAYS[3]).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    assert _apart(_step(laid_out, torch.float32), expected) < 1e-5


@pytest.mark.parametrize("saving", _WAYS[1:])
def test_names_weights_and_evaluation_are_untouched(saving: Saving) -> None:
    plain, frugal = _encoder(), _encoder(saving)
    assert list(plain.state_dict()) == list(frugal.state_dict())
    images = torch.randn(2, 1, 17, 20, 24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(plain.eval()(images), frugal.eval()(images))
    assert dict(frugal.named_buffers())["bn1.num_batches_tracked"] == 0


@pytest.mark.slow
def test_under_autocast_the_result_has_its_type_and_no_larger_error() -> None:
    # On CPUs without bf16 units torch 2.13 leaves gradients of 3x3x3 kernels undefined where an
    # axis has two voxels, so the last stage is to have three.
    grid = (33, 33, 40)
    exact = _step(_encoder(), torch.float64, grid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain, frugal = (
            _step(_encoder(saving), torch.float32, grid) for saving in (_WAYS[0], _WAYS[3])
        )
    assert frugal.features.dtype == plain.features.dtype
    for name in ("features", "gradients", "buffers"):
        errors = [_relative(vars(each)[name], vars(exact)[name]) for each in (frugal, plain)]
        assert errors[0] < 1.3 * errors[1], name


def test_each_way_keeps_less_for_the_backward_pass() -> None:
    plain, stem, blocks, both = (_bytes_kept(saving) for saving in _WAYS)
    assert both < min(stem, blocks)
    assert max(stem, blocks) < plain
    assert both < 0.2 * plain


def _bytes_kept(saving: Saving) -> int:
    encoder = _encoder(saving)
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        features = encoder(torch.randn(2, 1, 17, 20, 24))
    assert features.requires_grad
    return sum(each.untyped_storage().nbytes() for each in kept.values())
