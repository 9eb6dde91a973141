"""What fits on a card: ways to compute a recipe's exact batch, with their memory and their time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from neurofm.config.learning import TrainingConfig
from neurofm.config.recipe import Recipe
from neurofm.models.flops import convolutions, view_flops
from neurofm.models.footprint import (
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
_STEM_PASSES = 3  # a streamed stem convolves so many times more, each as long as a forward pass
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
    """

    name: str
    overrides: tuple[str, ...]
    precision: Literal["float32", "bf16"]
    saving: Saving


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
        beyond_32_bits: some tensor of the recipe's batch has more than 2**31 numbers.
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
    beyond_32_bits: bool
    flops: int
    paces: tuple[Pace, ...]


_FLOAT32, _BF16 = "training.precision=float32", "training.precision=bf16"
_STEM, _BLOCKS = "training.stream_stem=true", "training.checkpoint_blocks=true"
_KNOWN_WAYS = (
    Way("float32", (_FLOAT32,), "float32", Saving()),
    Way("float32, streamed stem", (_FLOAT32, _STEM), "float32", Saving(stem=True)),
    Way(
        "float32, stem and blocks",
        (_FLOAT32, _STEM, _BLOCKS),
        "float32",
        Saving(stem=True, blocks=True),
    ),
    Way("bf16", (_BF16,), "bf16", Saving()),
    Way("bf16, streamed stem", (_BF16, _STEM), "bf16", Saving(stem=True)),
    Way("bf16, checkpointed blocks", (_BF16, _BLOCKS), "bf16", Saving(blocks=True)),
    Way("bf16, stem and blocks", (_BF16, _STEM, _BLOCKS), "bf16", Saving(stem=True, blocks=True)),
)


def _is_offered(override: str) -> bool:
    """Whether a recipe of this version has the knob."""
    return override.partition("=")[0].removeprefix("training.") in TrainingConfig.model_fields


WAYS = tuple(way for way in _KNOWN_WAYS if all(map(_is_offered, way.overrides)))


def plan(recipe: Recipe, cards: Cards, participants: int) -> list[Fit]:
    """Every way on these cards, the least work first.

    Args:
        recipe: its spacing, encoder, batch, optimiser and epochs are read.
        cards: what there is.
        participants: of an epoch.
    """
    fits = [_fit(recipe, way, cards, participants) for way in WAYS]
    return sorted(fits, key=lambda each: each.paces[0].hours)


def best_fit(fits: list[Fit]) -> Fit | None:
    """The quickest way that fits the recipe's batch; None where none does."""
    return next((each for each in fits if each.fits), None)


def _fit(recipe: Recipe, way: Way, cards: Cards, participants: int) -> Fit:
    grid, batch = model_shape(recipe.store.spacing_mm), recipe.training.batch_size
    view = view_footprint(recipe.encoder, grid, way.precision, way.saving)
    fixed = _fixed_bytes(recipe, way, cards)
    each = 2 * view.kept + view.working + participant_bytes(grid)
    room = cards.memory_gib * _GIB * (1 - _MARGIN) - fixed
    per_card = max(0, int(room // each))
    flops = _flops(recipe, way)
    share = math.ceil(batch / cards.count)
    return Fit(
        way=way,
        fixed_bytes=fixed,
        participant_bytes=each,
        per_card=per_card,
        largest_batch=per_card * cards.count,
        fits=share <= per_card,
        fits_paper=per_card >= PAPER_BATCH,
        beyond_32_bits=share * _largest_tensor(recipe, way) > 2**31,
        flops=flops,
        paces=tuple(
            _pace(recipe, way, cards, participants, flops=flops, utilisation=each)
            for each in UTILISATIONS
        ),
    )


def _fixed_bytes(recipe: Recipe, way: Way, cards: Cards) -> int:
    weights = parameter_count(recipe.encoder, recipe.objective.projection_size)
    each = 4 + 4 + _OPTIMISER_BYTES[recipe.training.optimizer]
    each += 2 if way.precision == "bf16" else 0  # autocast's copy
    each += 4 if cards.count > 1 else 0  # DDP's buckets
    return weights * each + _LIBRARIES


def _flops(recipe: Recipe, way: Way) -> int:
    view = view_flops(recipe.encoder, model_shape(recipe.store.spacing_mm))
    again = _STEM_PASSES * view.stem if way.saving.stem else 0
    again += view.blocks if way.saving.blocks else 0
    return 2 * (view.step + again)


def _largest_tensor(recipe: Recipe, way: Way) -> int:
    found = convolutions(recipe.encoder, model_shape(recipe.store.spacing_mm))
    kept = found[1:] if way.saving.stem else found
    return max(each.channels_out * math.prod(each.grid) for each in kept)


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
