"""What fits on a card: ways to compute a recipe's exact batch, with their memory and their time."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from neurofm.config.consistency import refuse_wrong_gradients
from neurofm.config.recipe import Recipe
from neurofm.training.costs import StepCosts, step_costs
from neurofm.training.ways import Way, ways_of
from neurofm.volumes.grids import model_shape

PAPER_BATCHES = {"simclr": 72, "mae": 128}
UTILISATIONS = (0.10, 0.20, 0.40)
_GIB = 2**30
_LIBRARIES = 2 * _GIB  # CUDA's context, cuDNN's workspaces
_MARGIN = 0.08  # of the card: fragments between allocations, and what the arithmetic misses
_OPTIMISER_BYTES = {"adam": 8, "adamw": 8, "lars": 4}  # a weight: float32 moments
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
        fits_paper: the paper's batch of such a model on one card.
        needed_bytes: of a card for the recipe's batch, without the margin.
        beyond_32_bits: a layer makes of the recipe's batch more than 2**31 numbers at once.
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


def plan(recipe: Recipe, cards: Cards, participants: int) -> list[Fit]:
    """Every way on these cards, the least work first.

    Args:
        recipe: its spacing, encoder, objective and training are read.
        cards: what there is.
        participants: of an epoch.

    Raises:
        ConfigError: sections of the recipe do not go together, or a patch does not divide the
            volume.
    """
    refuse_wrong_gradients(recipe.encoder, recipe.objective, recipe.training)
    fits = [_fit(recipe, way, cards, participants) for way in ways_of(recipe)]
    return sorted(fits, key=lambda each: each.paces[0].hours)


def best_fit(fits: list[Fit]) -> Fit | None:
    """The quickest way that fits the recipe's batch; None where none does."""
    return next((each for each in fits if each.fits), None)


def _fit(recipe: Recipe, way: Way, cards: Cards, participants: int) -> Fit:
    training, room = recipe.training, cards.memory_gib * _GIB * (1 - _MARGIN)
    costs = step_costs(recipe, way, model_shape(recipe.store.spacing_mm))
    fixed = _fixed_bytes(recipe, way, cards, costs.weights)
    per_card = _most_participants(costs, int(room) - fixed)
    step = costs.activation_bytes(per_card + 1) - costs.activation_bytes(per_card)
    share = math.ceil(training.batch_size / training.accumulate / cards.count)
    rate = _rate(recipe, way, cards, costs)
    return Fit(
        way=way,
        fixed_bytes=fixed,
        participant_bytes=step,
        per_card=per_card,
        largest_batch=per_card * cards.count,
        fits=share <= per_card,
        fits_paper=per_card >= PAPER_BATCHES.get(recipe.objective.kind, math.inf),
        needed_bytes=fixed + costs.activation_bytes(share),
        beyond_32_bits=costs.largest_tensor(share) > 2**31,
        flops=costs.flops,
        paces=tuple(
            _pace(recipe, participants, rate * each / costs.flops, each) for each in UTILISATIONS
        ),
    )


def _most_participants(costs: StepCosts, room: int) -> int:
    """The largest batch of one card whose step fits `room` bytes."""
    return bisect_right(range(1, _MOST_PARTICIPANTS), room, key=costs.activation_bytes)


def _fixed_bytes(recipe: Recipe, way: Way, cards: Cards, weights: int) -> int:
    each = 4 + 4 + _OPTIMISER_BYTES[recipe.training.optimizer]
    each += 2 if way.precision == "bf16" else 0  # autocast's copy
    each += 4 if cards.count > 1 else 0  # DDP's buckets
    return weights * each + _LIBRARIES


def _rate(recipe: Recipe, way: Way, cards: Cards, costs: StepCosts) -> float:
    """Peak operations a second of all cards in this way's precision."""
    rate = cards.tflops * 1e12 * cards.count
    if way.precision == "bf16":
        return rate
    is_rounded = recipe.training.tf32 and costs.view.has_tf32
    return rate * (_TF32_SPEED if is_rounded else _FLOAT32_SPEED)


def _pace(recipe: Recipe, participants: int, a_second: float, utilisation: float) -> Pace:
    training = recipe.training
    step_seconds = training.batch_size / a_second
    hours = step_seconds * (participants // training.batch_size) * training.epochs / 3600
    return Pace(utilisation, step_seconds, hours, a_second)
