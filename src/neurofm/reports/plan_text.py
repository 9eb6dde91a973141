"""A plan in words for the terminal: the table of ways, what to paste, and what is not offered."""

from __future__ import annotations

from collections.abc import Iterator

from neurofm.config.consistency import refuse_wrong_gradients
from neurofm.config.objectives import SimCLRConfig, SupervisedConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError
from neurofm.training.objective import views_a_scan
from neurofm.training.planning import PAPER_BATCHES, Cards, Fit, best_fit
from neurofm.training.ways import has_batch_norm
from neurofm.volumes.grids import model_shape

_GIB = 2**30
_NO_CACHING = (
    "Gradient caching (any batch, part by part) is not offered: batch norm takes its statistics",
    "  over the whole batch, so the gradients of parts would be others.",
)


def plan_lines(recipe: Recipe, cards: Cards, participants: int, fits: list[Fit]) -> Iterator[str]:
    """The plan as lines, at most 100 characters wide but for the line to paste."""
    training = recipe.training
    grid = "x".join(str(size) for size in model_shape(recipe.store.spacing_mm))
    number = "1 card" if cards.count == 1 else f"{cards.count} cards"
    views = "two views" if views_a_scan(recipe) == 2 else "one view"
    yield f"{recipe.name}: {grid} voxels, batch {training.batch_size}, {views} each"
    yield f"{training.epochs} epochs of {participants:,} participants"
    yield f"{number} of {cards.memory_gib:g} GiB, peak {cards.tflops:g} TFLOP/s in bf16"
    yield ""
    yield from _table(recipe, fits)
    yield ""
    yield from _advice(recipe, cards, fits)
    if recipe.objective.kind in PAPER_BATCHES:
        yield _paper_line(PAPER_BATCHES[recipe.objective.kind], fits)
    if isinstance(recipe.objective, SimCLRConfig) and has_batch_norm(recipe):
        yield from _NO_CACHING
    yield "All of this is arithmetic. To measure it: python benchmarks/gpu.py"


def _table(recipe: Recipe, fits: list[Fit]) -> Iterator[str]:
    shares = "/".join(f"{100 * pace.utilisation:.0f}" for pace in fits[0].paces)
    batch_size = recipe.training.batch_size
    heads = ("GiB each", f"GiB for {batch_size}", "one card", "largest", "fits")
    yield (
        f"{'way':28s}"
        + "".join(f"{head:>{len(head) + 2}s}" for head in heads)
        + f"  hours at {shares} %"
    )
    for fit in fits:
        hours = " / ".join(_number(pace.hours) for pace in fit.paces)
        memory = (f"{fit.participant_bytes / _GIB:.2f}", f"{fit.needed_bytes / _GIB:.1f}")
        cells = (*memory, fit.per_card, fit.largest_batch, "yes" if fit.fits else "no")
        row = (f"{cell:>{len(head) + 2}}" for cell, head in zip(cells, heads, strict=True))
        yield f"{fit.way.name:28s}" + "".join(row) + f"  {hours}"


def _advice(recipe: Recipe, cards: Cards, fits: list[Fit]) -> Iterator[str]:
    batch, best = recipe.training.batch_size, best_fit(fits)
    if best is None:
        yield from _too_small(recipe, cards, fits)
        return
    yield f"The quickest way that fits {batch}: {best.way.name}. To paste:"
    command = "train" if isinstance(recipe.objective, SupervisedConfig) else "pretrain"
    yield f"  neurofm {command} {recipe.name} {' '.join(best.way.overrides)} ..."
    steps = " / ".join(_number(pace.step_seconds) for pace in best.paces)
    feed = " / ".join(_number(pace.participants_per_second) for pace in best.paces)
    yield f"A step takes {steps} s; scans have to come at {feed} participants a second."
    if batch % cards.count:
        yield f"But {cards.count} processes cannot share a batch of {batch} evenly."
    if best.beyond_32_bits:
        yield "A tensor of this batch has more than 2^31 numbers, which not every GPU kernel takes:"
        yield "  benchmarks/gpu.py tells whether this PyTorch and cuDNN do."


def _too_small(recipe: Recipe, cards: Cards, fits: list[Fit]) -> Iterator[str]:
    batch = recipe.training.batch_size
    shares = [_shares_enough(batch, fit.per_card) or batch + 1 for fit in fits]
    enough = min(shares)
    roomiest = fits[shares.index(enough)]  # the quickest of those that need the fewest cards
    overrides = " ".join(roomiest.way.overrides)
    yield f"A batch of {batch} does not fit in any of these ways."
    if enough <= batch:
        yield f"It fits {enough} such cards with {roomiest.way.name}: --gpus {enough}, {overrides}"
    parts = _parts_enough(recipe, roomiest.largest_batch)
    if parts is not None:
        yield f"Or its gradient added up, exact as well: training.accumulate={parts} {overrides}"
    if roomiest.largest_batch >= 2:
        is_contrastive = isinstance(recipe.objective, SimCLRConfig)
        reason = ", since negatives come from the batch" if is_contrastive else ""
        smaller = f"training.batch_size={roomiest.largest_batch}"
        yield f"Another experiment{reason}: {smaller} {overrides}"
    elif parts is None:
        yield "Not one participant fits a card: use a larger store.spacing_mm or narrower widths."


def _shares_enough(batch: int, largest: int) -> int | None:
    """The fewest even shares of a batch, each at most the largest."""
    counts = range(1, batch + 1)
    return next((n for n in counts if batch % n == 0 and batch // n <= largest), None)


def _parts_enough(recipe: Recipe, largest: int) -> int | None:
    """The fewest parts of the batch of which each fits the cards, where parts are exact."""
    parts = _shares_enough(recipe.training.batch_size, largest)
    if parts is None:
        return None
    training = recipe.training.model_copy(update={"accumulate": parts})
    try:
        refuse_wrong_gradients(recipe.encoder, recipe.objective, training)
    except ConfigError:
        return None
    return parts


def _paper_line(batch: int, fits: list[Fit]) -> str:
    able = [fit.way.name for fit in fits if fit.fits_paper]
    if able:
        return f"The paper's batch of {batch} at this grid on one such card: yes ({able[0]})."
    most = max(fit.per_card for fit in fits)
    return f"The paper's batch of {batch} at this grid on one such card: no, at most {most}."


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
