"""What fits on a card: ways to compute a recipe's exact batch, with their memory and their time."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from neurofm.config.recipe import Recipe
from neurofm.models.flops import convolutions, view_flops
from neurofm.models.footprint import (
    Precision,
    Saving,
    parameter_count,
    participant_bytes,
    view_footprint,
)
from neurofm.volumes.grids import model_shape

PAPER_BATCH = 72
UTILISATIONS = (0.10, 0.20, 0.40)
_GIB = 2**30
_LIBRARIES = 2 * _GIB  # CUDA's context, cuDNN's workspaces
_MARGIN = 0.08  # of the card: fragments between allocations, and what the arithmetic misses
_OPTIMISER_BYTES = {"adam": 8, "adamw": 8, "lars": 4}  # a weight: float32 moments
_STEM_PASSES = 2  # a streamed stem with batch norm convolves so many times more than a plain one
_SHORTCUT_PASSES = 4  # likewise the shortcut of a checkpointed block; its other layers once
_MOST_PARTICIPANTS = 2**16
_TF32_SPEED, _FLOAT32_SPEED = 1 / 2, 1 / 15  # of the bf16 peak on A100 and H100


@dataclass(frozen=True)
class Cards:
    """The GPUs of a run, all alike.

    Attributes:
        memory_gib: of one, as nvidia-smi shows it in MiB / 1024; an "80 GB" card has about 80.
        count: how many.
        tflops: peak of one for dense bf16 products.
    """

    memory_gib: float
    count: int = 1
    tflops: float = 800.0


@dataclass(frozen=True)
class Way:
    """How a step is computed; every way gives the gradient of the whole batch.

    Attributes:
        name: for the table.
        overrides: of the recipe, to be pasted.
        precision: of the encoder.
        saving: what is computed twice.
        cached: scans encoded at a time by gradient caching; None for all together.
    """

    name: str
    overrides: tuple[str, ...]
    precision: Precision
    saving: Saving
    cached: int | None = None


@dataclass(frozen=True)
class Pace:
    """Time at one utilisation of the card.

    Attributes:
        utilisation: of its peak, 0 to 1.
        step_seconds: of the recipe's batch, over all cards.
        hours: of the recipe's epochs.
        participants_per_second: what reading and views have to deliver.
    """

    utilisation: float
    step_seconds: float
    hours: float
    participants_per_second: float


@dataclass(frozen=True)
class Fit:
    """One way on these cards.

    Attributes:
        way: what it is.
        fixed_bytes: weights, gradients, optimiser, libraries.
        participant_bytes: for each participant of a card's part of the batch.
        per_card: the most participants on one card.
        largest_batch: over all cards.
        fits: the recipe's batch.
        fits_paper: the paper's batch of 72 on one card.
        needed_bytes: of a card for the recipe's batch, without the margin.
        beyond_32_bits: a convolution of the recipe's batch gives more than 2**31 numbers at once.
        flops: of a participant's step.
        paces: time, by utilisation.
    """

    way: Way
    fixed_bytes: int
    participant_bytes: int
    per_card: int
    largest_batch: int
    fits: bool
    fits_paper: bool
    needed_bytes: int
    beyond_32_bits: bool
    flops: int
    paces: tuple[Pace, ...]


_FLOAT32, _BF16 = "training.precision=float32", "training.precision=bf16"
_STEM, _BLOCKS = "training.stream_stem=true", "training.checkpoint_blocks=true"
_CACHE = "training.gradient_cache=2"
WAYS = (
    Way("float32", (_FLOAT32,), "float32", Saving()),
    Way("float32, streamed stem", (_FLOAT32, _STEM), "float32", Saving(stem=True)),
    Way("float32, stem and blocks", (_FLOAT32, _STEM, _BLOCKS), "float32", Saving(True, True)),
    Way("bf16", (_BF16,), "bf16", Saving()),
    Way("bf16, streamed stem", (_BF16, _STEM), "bf16", Saving(stem=True)),
    Way("bf16, checkpointed blocks", (_BF16, _BLOCKS), "bf16", Saving(blocks=True)),
    Way("bf16, stem and blocks", (_BF16, _STEM, _BLOCKS), "bf16", Saving(True, True)),
)
CACHED_WAYS = (
    Way("float32, gradient caching", (_FLOAT32, _CACHE), "float32", Saving(), cached=2),
    Way("bf16, gradient caching", (_BF16, _CACHE), "bf16", Saving(), cached=2),
)


def plan(recipe: Recipe, cards: Cards, participants: int) -> list[Fit]:
    """Every way on these cards, the least work first.

    Args:
        recipe: its spacing, encoder, batch, optimiser and epochs are read.
        cards: what there is.
        participants: of an epoch.
    """
    ways = WAYS + (CACHED_WAYS if recipe.encoder.norm == "group" else ())
    fits = [_fit(recipe, way, cards, participants) for way in ways]
    return sorted(fits, key=lambda each: each.paces[0].hours)


def best_fit(fits: list[Fit]) -> Fit | None:
    """The quickest way that fits the recipe's batch; None where none does."""
    return next((each for each in fits if each.fits), None)


def _fit(recipe: Recipe, way: Way, cards: Cards, participants: int) -> Fit:
    batch, room = recipe.training.batch_size, cards.memory_gib * _GIB * (1 - _MARGIN)
    fixed = _fixed_bytes(recipe, way, cards)
    per_card = _most_participants(recipe, way, int(room) - fixed)
    step = _step_bytes(recipe, way, per_card + 1) - _step_bytes(recipe, way, per_card)
    flops = _flops(recipe, way)
    share = math.ceil(batch / cards.count)
    return Fit(
        way=way,
        fixed_bytes=fixed,
        participant_bytes=step,
        per_card=per_card,
        largest_batch=per_card * cards.count,
        fits=share <= per_card,
        fits_paper=per_card >= PAPER_BATCH,
        needed_bytes=fixed + _step_bytes(recipe, way, share),
        beyond_32_bits=_largest_tensor(recipe, way, share) > 2**31,
        flops=flops,
        paces=tuple(
            _pace(recipe, way, cards, participants, flops=flops, utilisation=each)
            for each in UTILISATIONS
        ),
    )


def _step_bytes(recipe: Recipe, way: Way, participants: int) -> int:
    """Of activations and volumes on one card."""
    grid = model_shape(recipe.store.spacing_mm)
    network = view_footprint(recipe.encoder, grid, way.precision, way.saving)
    volumes = participants * participant_bytes(grid)
    if way.cached is None:
        return network.step(participants) + volumes
    views = participants * 2 * 4 * math.prod(grid)  # kept whole, in float32
    return network.peak(min(participants, way.cached)) + views + volumes


def _most_participants(recipe: Recipe, way: Way, room: int) -> int:
    """The largest batch of one card whose step fits `room` bytes."""
    return bisect_right(
        range(1, _MOST_PARTICIPANTS), room, key=lambda count: _step_bytes(recipe, way, count)
    )


def _fixed_bytes(recipe: Recipe, way: Way, cards: Cards) -> int:
    weights = parameter_count(recipe.encoder, recipe.objective.projection_size)
    each = 4 + 4 + _OPTIMISER_BYTES[recipe.training.optimizer]
    each += 2 if way.precision == "bf16" else 0  # autocast's copy
    each += 4 if cards.count > 1 else 0  # DDP's buckets
    return weights * each + _LIBRARIES


def _flops(recipe: Recipe, way: Way) -> int:
    grid = model_shape(recipe.store.spacing_mm)
    view, is_batch_norm = view_flops(recipe.encoder, grid), recipe.encoder.norm == "batch"
    again = 0
    if way.saving.stem:
        again += (_STEM_PASSES if is_batch_norm else 1) * view.stem
    if way.saving.blocks:
        shortcuts = sum(c.flops for c in convolutions(recipe.encoder, grid) if c.kernel == 1)
        again += view.blocks + (_SHORTCUT_PASSES - 1) * shortcuts * is_batch_norm
    if way.cached is not None:
        again += view.stem + view.blocks
    return 2 * (view.step + again)


def _largest_tensor(recipe: Recipe, way: Way, participants: int) -> int:
    """Numbers of the largest output of a convolution that takes its whole batch at once."""
    stem, *others = convolutions(recipe.encoder, model_shape(recipe.store.spacing_mm))
    whole = ([] if way.saving.stem else [stem]) + ([] if way.saving.blocks else others)
    rows = min(participants, way.cached or participants)
    return rows * max((each.channels_out * math.prod(each.grid) for each in whole), default=0)


def _pace(
    recipe: Recipe, way: Way, cards: Cards, participants: int, *, flops: int, utilisation: float
) -> Pace:
    rate = cards.tflops * 1e12 * cards.count * utilisation
    if way.precision == "float32":
        rate *= _TF32_SPEED if recipe.training.tf32 else _FLOAT32_SPEED
    training = recipe.training
    steps = participants // training.batch_size
    step_seconds = flops * training.batch_size / rate
    hours = step_seconds * steps * training.epochs / 3600
    return Pace(utilisation, step_seconds, hours, rate / flops)
