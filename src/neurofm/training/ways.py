"""Ways to compute a recipe's step: precision, and what is computed twice to save memory."""

from __future__ import annotations

from dataclasses import dataclass

from neurofm.config.encoders import ResNetConfig
from neurofm.config.objectives import SimCLRConfig
from neurofm.config.recipe import Recipe
from neurofm.models.footprint import Precision, Saving


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


_FLOAT32, _BF16 = "training.precision=float32", "training.precision=bf16"
_STEM, _BLOCKS = "training.stream_stem=true", "training.checkpoint_blocks=true"
_CACHE = "training.gradient_cache=2"
RESNET_WAYS = (
    Way("float32", (_FLOAT32,), "float32", Saving()),
    Way("float32, streamed stem", (_FLOAT32, _STEM), "float32", Saving(stem=True)),
    Way("float32, stem and blocks", (_FLOAT32, _STEM, _BLOCKS), "float32", Saving(True, True)),
    Way("bf16", (_BF16,), "bf16", Saving()),
    Way("bf16, streamed stem", (_BF16, _STEM), "bf16", Saving(stem=True)),
    Way("bf16, checkpointed blocks", (_BF16, _BLOCKS), "bf16", Saving(blocks=True)),
    Way("bf16, stem and blocks", (_BF16, _STEM, _BLOCKS), "bf16", Saving(True, True)),
)
TRANSFORMER_WAYS = (
    Way("float32", (_FLOAT32,), "float32", Saving()),
    Way("float32, checkpointed blocks", (_FLOAT32, _BLOCKS), "float32", Saving(blocks=True)),
    Way("bf16", (_BF16,), "bf16", Saving()),
    Way("bf16, checkpointed blocks", (_BF16, _BLOCKS), "bf16", Saving(blocks=True)),
)
CACHED_WAYS = (
    Way("float32, gradient caching", (_FLOAT32, _CACHE), "float32", Saving(), cached=2),
    Way("bf16, gradient caching", (_BF16, _CACHE), "bf16", Saving(), cached=2),
)


def ways_of(recipe: Recipe) -> tuple[Way, ...]:
    """The ways that leave this recipe's gradient as it is."""
    is_resnet = isinstance(recipe.encoder, ResNetConfig)
    ways = RESNET_WAYS if is_resnet else TRANSFORMER_WAYS
    if isinstance(recipe.objective, SimCLRConfig) and not has_batch_norm(recipe):
        return ways + CACHED_WAYS
    return ways


def has_batch_norm(recipe: Recipe) -> bool:
    """Whether a volume's features depend on the other volumes of its batch."""
    return isinstance(recipe.encoder, ResNetConfig) and recipe.encoder.norm == "batch"
