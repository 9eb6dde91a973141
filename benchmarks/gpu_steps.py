"""One training step under many settings: seconds, peak memory, largest batch, time of its parts."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from neurofm.augment.views import make_views
from neurofm.config.encoders import ResNetConfig
from neurofm.config.knobs import Section
from neurofm.config.learning import TrainingConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.data.batch import Batch
from neurofm.errors import NeurofmError
from neurofm.models.flops import Grid
from neurofm.models.footprint import Saving
from neurofm.training.costs import step_costs
from neurofm.training.learner import Learner
from neurofm.training.objective import build_objective, views_a_scan
from neurofm.training.optimisers import build_optimizer
from neurofm.training.precision import apply_numerics, autocast, choose_numerics
from neurofm.training.ways import Way

_SECTIONS: dict[str, type[Section]] = {"training": TrainingConfig, "encoder": ResNetConfig}
_MOST_TRIALS = 8
_GIB = 2**30


@dataclass(frozen=True)
class Stage:
    """Where and at what size is measured.

    Attributes:
        device: of the measurements.
        grid: voxels of a volume (z, y, x).
        sections: of the recipe, where they are not the paper's SimCLR.
        most_participants: a larger batch counts as not fitting; for the rehearsal on a CPU.
        repeats: measured steps, after one to warm up.
    """

    device: torch.device
    grid: Grid
    sections: Mapping[str, Mapping[str, object]]
    most_participants: int
    repeats: int

    @property
    def spacing_mm(self) -> float:
        """Voxel size at which the paper's box has this grid."""
        return 150 / self.grid[0]


@dataclass(frozen=True)
class Option:
    """A way to compute the same step.

    Attributes:
        name: in the tables.
        knobs: of the recipe, written section.key.
        autotune: let cuDNN try its algorithms first.
    """

    name: str
    knobs: Mapping[str, object] = field(default_factory=dict)
    autotune: bool = False

    def missing_knobs(self) -> list[str]:
        """Knobs that this version of neurofm does not have."""
        places = {name: name.split(".") for name in self.knobs}
        return [n for n, (section, key) in places.items() if key not in _fields(section)]

    def recipe(self, stage: Stage, participants: int) -> Recipe:
        """The stage's recipe with these knobs."""
        values: dict[str, dict[str, object]] = {
            "training": {"batch_size": max(2, participants)},
            **{name: dict(section) for name, section in stage.sections.items()},
        }
        for name, value in self.knobs.items():
            section, key = name.split(".")
            values.setdefault(section, {})[key] = value
        return check_recipe({"name": "gpu-benchmark", **values}, where=self.name)


@dataclass(frozen=True)
class Step:
    """What a step took.

    Attributes:
        participants: of its batch.
        seconds: median over the repeats.
        peak_bytes: the most the device's allocator held; 0 on a CPU.
        loss: of the last repeat.
    """

    participants: int
    seconds: float
    peak_bytes: int
    loss: float


def phantom_batch(stage: Stage, participants: int) -> Batch:
    """Smooth ellipsoids with noise, each another, as packed scans look; on the stage's device."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in stage.grid], indexing="ij")
    radius = sum((axis / 0.85).square() for axis in axes)
    mask = (radius < 1).to(stage.device)
    noise = torch.randn(stage.grid, generator=generator)
    image = (3 * torch.cos(4 * radius) + 0.5 * noise).to(stage.device)
    shape = (participants, 1, *stage.grid)
    images = torch.empty(shape, device=stage.device)
    for number in range(participants):
        images[number, 0] = torch.where(mask, image.roll(number, dims=0), -12.0)
    rows = tuple(range(participants))
    masks = mask.expand(shape).clone()
    return Batch(images, masks, rows, tuple(f"phantom/{row}" for row in rows), 0)


def build_learner(stage: Stage, option: Option, participants: int) -> Learner:
    """Objective, optimiser and autocast as pre-training makes them."""
    recipe = option.recipe(stage, participants)
    torch.backends.cudnn.benchmark = option.autotune
    objective = build_objective(recipe, stage.spacing_mm).to(stage.device)
    numerics = choose_numerics(recipe.training, stage.device)
    apply_numerics(objective, objective.encoder, numerics)
    optimizer = build_optimizer(objective, recipe.training)
    return Learner(objective, optimizer, lambda: autocast(numerics, stage.device))


def measure_step(stage: Stage, option: Option, participants: int, repeats: int) -> Step:
    """Time and peak memory of a step, its views included and reading left out.

    Args:
        stage: where.
        option: how.
        participants: of the batch.
        repeats: 0 takes the one step that else only warms up.

    Raises:
        torch.OutOfMemoryError: the batch does not fit.
    """
    if participants > stage.most_participants:
        raise torch.OutOfMemoryError(f"the rehearsal ends at {stage.most_participants}")
    release_memory(stage.device)
    if stage.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(stage.device)
    learner, batch = build_learner(stage, option, participants), phantom_batch(stage, participants)
    seconds, loss = [], float("nan")
    for _ in range(repeats + 1):
        began = now(stage.device)
        loss = learner.learn_from(batch).loss
        seconds.append(now(stage.device) - began)
    peak = torch.cuda.max_memory_allocated(stage.device) if stage.device.type == "cuda" else 0
    return Step(participants, statistics.median(seconds[1:] or seconds), peak, loss)


def measure_option(stage: Stage, option: Option, small: int, deadline: float) -> dict[str, object]:
    """Time and memory of an option from two small batches, or a remark why there is none.

    Args:
        stage: where.
        option: how.
        small: participants of the first batch; the second has twice as many.
        deadline: of `time.monotonic()`.
    """
    missing = option.missing_knobs()
    if missing:
        return {"remark": f"not in this neurofm: {', '.join(missing)}"}
    if time.monotonic() > deadline:
        return {"remark": "out of time"}
    first = attempt(lambda: measure_step(stage, option, small, stage.repeats))
    if isinstance(first, str):
        return {"remark": first}
    second = attempt(lambda: measure_step(stage, option, 2 * small, stage.repeats))
    larger = first if isinstance(second, str) else second
    slope = (larger.peak_bytes - first.peak_bytes) / small / _GIB if larger is not first else None
    each = larger.seconds / larger.participants
    recipe = option.recipe(stage, small)
    way = _way(stage, recipe)
    costs = step_costs(recipe, way, stage.grid)
    planned = costs.activation_bytes(larger.participants)
    planned += (18 if way.precision == "bf16" else 16) * costs.weights
    return {
        "participants": larger.participants,
        "s/participant": each,
        "TFLOP/s": costs.views * costs.view.flops / each / 1e12,
        "peak GiB": larger.peak_bytes / _GIB,
        "planned GiB": planned / _GIB,  # as `neurofm plan`, without its allowance for libraries
        "GiB/participant": slope,
        "loss": larger.loss,
    }


def largest_batch(
    stage: Stage, option: Option, guess: int, deadline: float
) -> tuple[Step | None, str]:
    """The largest batch of one step that fits, by trying; a guess saves tries.

    Args:
        stage: where.
        option: how.
        guess: participants to begin with, at least 1.
        deadline: of `time.monotonic()`; the search then ends with what it has.

    Returns:
        the step at the largest batch that fitted, None where not even one participant does; and
        a remark: what ended the search, if that was not memory.
    """
    best: Step | None = None
    low, high, trial = 0, 0, max(1, guess)  # the largest that fitted; the smallest that did not
    for _ in range(_MOST_TRIALS):
        if time.monotonic() > deadline:
            return best, "out of time"
        try:
            best, low = measure_step(stage, option, trial, repeats=0), trial
        except torch.OutOfMemoryError:
            high = trial
        except RuntimeError as error:  # such as a kernel that cannot index so many voxels
            return best, f"{trial} participants: {first_line(error)}"
        if high and high - low <= max(1, low // 20):
            break
        trial = max(low + 1, low * 5 // 4) if not high else (low + high) // 2 or 1
    return best, ""


def time_split(stage: Stage, option: Option, participants: int) -> dict[str, float]:
    """Seconds of the parts of a step: its views, forward, backward, optimiser."""
    learner, batch = build_learner(stage, option, participants), phantom_batch(stage, participants)
    recipe = option.recipe(stage, participants)
    numerics = choose_numerics(recipe.training, stage.device)
    rounds: list[dict[str, float]] = []
    for _ in range(stage.repeats + 1):
        learner.optimizer.zero_grad(set_to_none=True)
        marks = [now(stage.device)]
        for view in range(views_a_scan(recipe)):
            make_views(batch, recipe.views, recipe.seed, view, stage.spacing_mm)
        marks.append(now(stage.device))
        with autocast(numerics, stage.device):
            total: Tensor = learner.objective(batch).total
        marks.append(now(stage.device))
        total.backward()  # type: ignore[no-untyped-call]
        marks.append(now(stage.device))
        learner.optimizer.step()
        marks.append(now(stage.device))
        augment, both, backward, update = (b - a for a, b in pairwise(marks))
        forward = max(0.0, both - augment)
        names = ("augment", "forward", "backward", "optimiser")
        rounds.append(dict(zip(names, (augment, forward, backward, update), strict=True)))
    return {name: statistics.median(each[name] for each in rounds[1:]) for name in rounds[0]}


def _way(stage: Stage, recipe: Recipe) -> Way:
    training = recipe.training
    saving = Saving(stem=training.stream_stem, blocks=training.checkpoint_blocks)
    precision = choose_numerics(training, stage.device).precision
    return Way(recipe.name, (), precision, saving)


def now(device: torch.device) -> float:
    """The clock, once everything asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def memory_of(device: torch.device) -> int:
    """Bytes of the whole device; 0 on a CPU."""
    return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else 0


def release_memory(device: torch.device) -> None:
    """Give back what earlier measurements held."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def first_line(error: Exception) -> str:
    """An error in a few words."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def attempt(work: Callable[[], Step]) -> Step | str:
    """A measurement, or why there is none."""
    try:
        return work()
    except torch.OutOfMemoryError:
        return "does not fit"
    except (RuntimeError, NeurofmError) as error:
        return first_line(error)


def _fields(section: str) -> Mapping[str, object]:
    return _SECTIONS[section].model_fields
