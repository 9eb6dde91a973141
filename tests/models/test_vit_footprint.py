"""The arithmetic of a transformer's memory agrees with the tensors autograd really keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from neurofm.config.encoders import ViTConfig
from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe, load_recipe
from neurofm.data.batch import Batch
from neurofm.models.encoder import build_encoder
from neurofm.models.flops import Grid
from neurofm.models.footprint import Footprint, Precision, Saving, participant_bytes
from neurofm.models.vit_flops import mae_pass, vit_pass
from neurofm.models.vit_footprint import transformer_footprint
from neurofm.training.objective import build_objective

_GRID = (25, 32, 32)
_SMALL: tuple[str, ...] = (
    "store.spacing_mm=6",
    "encoder.width=96",
    "encoder.depth=4",
    "encoder.heads=3",
    "encoder.patch_voxels=[5, 4, 4]",
    "objective.decoder_width=128",
    "objective.decoder_depth=3",
    "objective.decoder_heads=4",
)
_EVERY_WAY = pytest.mark.parametrize(
    ("precision", "is_frugal"),
    [("float32", False), ("float32", True), ("bf16", False), ("bf16", True)],
)


def _recipe(*overrides: str, is_frugal: bool) -> Recipe:
    checkpointed = f"training.checkpoint_blocks={str(is_frugal).lower()}"
    return load_recipe("mae-paper-tiny", (*_SMALL, checkpointed, *overrides))


def _expected(recipe: Recipe, precision: Precision, *, is_frugal: bool) -> Footprint:
    assert isinstance(recipe.encoder, ViTConfig)
    assert isinstance(recipe.objective, MAEConfig)
    passed = mae_pass(recipe.encoder, recipe.objective, _GRID, 240)
    return transformer_footprint(passed, precision, Saving(blocks=is_frugal))


def _autocast(precision: Precision) -> AbstractContextManager[object]:
    return nullcontext() if precision == "float32" else torch.autocast("cpu", torch.bfloat16)


def _batch(rows: int, grid: Grid = _GRID) -> Batch:
    masks = torch.ones(rows, 1, *grid, dtype=torch.bool)
    items = tuple(f"phantom/{row}" for row in range(rows))
    return Batch(torch.randn(rows, 1, *grid), masks, tuple(range(rows)), items, 0)


def _kept(model: nn.Module, forward: Callable[[], Tensor], precision: Precision) -> int:
    """Bytes of the distinct tensors that autograd keeps for backward, float32 weights left out."""
    weights = {each.data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t), _autocast(precision):
        result = forward()
    assert result.requires_grad
    return sum(kept.values())


def _each(bytes_by_rows: Sequence[int], rows: Sequence[int]) -> float:
    """Of one more row; what does not grow with rows, such as weights in bf16, falls out."""
    return (bytes_by_rows[1] - bytes_by_rows[0]) / (rows[1] - rows[0])


@_EVERY_WAY
def test_a_participant_of_a_masked_autoencoder_keeps_what_autograd_keeps(
    precision: Precision, is_frugal: bool
) -> None:
    recipe = _recipe(is_frugal=is_frugal)
    model, rows = build_objective(recipe, 6.0), (2, 5)
    batches = [_batch(count) for count in rows]
    kept = [_kept(model, lambda b=batch: model(b).total, precision) for batch in batches]
    expected = _expected(recipe, precision, is_frugal=is_frugal)
    assert expected.kept == pytest.approx(_each(kept, rows), rel=0.02)


@pytest.mark.slow
def test_a_participant_of_the_papers_tiny_masked_autoencoder_keeps_287_megabytes() -> None:
    grid, rows = (150, 192, 192), (1, 2)
    recipe = load_recipe("mae-paper-tiny")
    model = build_objective(recipe, 1.0)
    batches = [_batch(count, grid) for count in rows]
    kept = [_kept(model, lambda b=batch: model(b).total, "float32") for batch in batches]
    assert isinstance(recipe.encoder, ViTConfig)
    assert isinstance(recipe.objective, MAEConfig)
    passed = mae_pass(recipe.encoder, recipe.objective, grid, 648)
    expected = transformer_footprint(passed, "float32", Saving()).kept
    assert expected == pytest.approx(_each(kept, rows), rel=0.02)
    assert round(expected / 1e6) == 287


@_EVERY_WAY
def test_a_view_of_an_encoder_alone_keeps_what_autograd_keeps(
    precision: Precision, is_frugal: bool
) -> None:
    config = ViTConfig(width=96, depth=4, heads=3, patch_voxels=(5, 4, 4))
    saving, rows = Saving(blocks=is_frugal), (2, 5)
    model = build_encoder(config, saving=saving, spacing_mm=6.0)
    images = [torch.randn(count, 1, *_GRID) for count in rows]
    kept = [_kept(model, lambda i=each: model(i), precision) for each in images]
    expected = transformer_footprint(vit_pass(config, _GRID), precision, saving)
    assert expected.kept == pytest.approx(_each(kept, rows), rel=0.02)


def _peak(model: nn.Module, batch: Batch, precision: Precision) -> int:
    """The most that the tensors of a step held, the batch and the weights' gradients left out."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        with _autocast(precision):
            total: Tensor = model(batch).total
        total.backward()  # type: ignore[no-untyped-call]
    assert profiled.profiler is not None
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(events, key=lambda e: e.start_ns()))
    return max(held)


def _multiplies_bf16() -> bool:
    """Whether the CPU has such an instruction: AVX512_BF16 or AMX on x86, BF16 on ARM."""
    path = Path("/proc/cpuinfo")
    return not path.exists() or "bf16" in path.read_text(encoding="utf-8")


@_EVERY_WAY
@pytest.mark.parametrize("size", [(), ("objective.decoder_width=32", "objective.decoder_depth=1")])
def test_the_peak_of_a_masked_autoencoders_step_is_the_one_measured(
    precision: Precision, is_frugal: bool, size: tuple[str, ...]
) -> None:
    if precision == "bf16" and not _multiplies_bf16():
        pytest.skip("this CPU turns bf16 into float32 copies to multiply them")
    recipe = _recipe(*size, is_frugal=is_frugal)
    model, rows = build_objective(recipe, 6.0), (6, 18)
    peaks = [_peak(model, _batch(count), precision) for count in rows]
    expected = _expected(recipe, precision, is_frugal=is_frugal)
    view = participant_bytes(_GRID) // 3
    assert expected.peak(1) + view == pytest.approx(_each(peaks, rows), rel=0.15)


def test_attention_never_holds_all_scores_at_once() -> None:
    config = ViTConfig(width=96, depth=1, heads=96, patch_voxels=(5, 2, 2))
    passed = vit_pass(config, _GRID)
    scores = 4 * config.heads * passed.blocks.tokens**2
    kept = transformer_footprint(passed, "float32", Saving()).kept
    model = build_encoder(config, spacing_mm=6.0)
    assert 20 * kept < scores
    images = torch.randn(1, 1, *_GRID)
    assert _kept(model, lambda: model(images), "float32") < 1.1 * kept
