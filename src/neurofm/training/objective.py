"""What a recipe trains: its encoder with all that its objective needs beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from neurofm.config.consistency import refuse_wrong_gradients
from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.learning import TrainingConfig
from neurofm.config.objectives import MAEConfig, SimCLRConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import ConfigError
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.head import build_head
from neurofm.models.mae_decoder import build_mae_decoder
from neurofm.models.patches import Grid, token_grid
from neurofm.models.projector import build_projector
from neurofm.models.vit import ViT
from neurofm.objectives.mae import MAE
from neurofm.objectives.simclr import SimCLR
from neurofm.objectives.supervised import Supervised
from neurofm.training.starting import Start
from neurofm.training.task import Task
from neurofm.training.tuning import apply_tuning

Objective = SimCLR | MAE | Supervised


@dataclass(frozen=True, eq=False)
class Material:
    """What a supervised run has beside its recipe: labels, and weights to start from."""

    task: Task
    start: Start | None = None


def build_objective(
    recipe: Recipe, spacing_mm: float, material: Material | None = None
) -> Objective:
    """The recipe's objective with its encoder as it begins, in training mode.

    Args:
        recipe: seed, views, encoder, objective, tuning and training are read.
        spacing_mm: of the volumes.
        material: of a supervised run.

    Raises:
        ConfigError: sections of the recipe do not go together, or a patch does not divide the
            volume.
    """
    refuse_wrong_gradients(recipe.encoder, recipe.objective, recipe.training)
    if isinstance(recipe.objective, MAEConfig):
        return _mae(recipe, recipe.objective, spacing_mm)
    if isinstance(recipe.objective, SimCLRConfig):
        return _simclr(recipe, recipe.objective, spacing_mm)
    if material is None:
        raise ConfigError("needs labels", "use: neurofm train", "objective.kind=supervised")
    return _supervised(recipe, spacing_mm, material)


def require_fitting_patches(encoder: ResNetConfig | ViTConfig, shape: Grid) -> None:
    """See before a run that a transformer's patch divides the volumes (z, y, x).

    Raises:
        ConfigError: it does not; names the nearest sides that do.
    """
    if isinstance(encoder, ViTConfig):
        token_grid(encoder, shape)


def require_whole_parts(training: TrainingConfig, processes: int) -> None:
    """See before a run that the batch of a process can be cut into equal parts.

    Raises:
        ConfigError: it cannot.
    """
    if training.batch_size % processes:
        return  # the sampler says so
    share = training.batch_size // processes
    if share % training.accumulate:
        raise ConfigError(
            f"the {share} scans of a process cannot be cut into {training.accumulate} equal parts",
            f"choose a divisor of {share}",
            f"training.accumulate={training.accumulate}",
        )


def views_a_scan(recipe: Recipe) -> int:
    """How many views of a participant a step needs."""
    return 2 if isinstance(recipe.objective, SimCLRConfig) else 1


def _simclr(recipe: Recipe, config: SimCLRConfig, spacing_mm: float) -> SimCLR:
    seed = recipe.seed
    encoder = build_encoder(recipe.encoder, seed, _saving(recipe), spacing_mm=spacing_mm)
    projector = build_projector(recipe.encoder.features, config.projection_size, seed)
    return SimCLR(
        encoder,
        projector,
        config,
        views=recipe.views,
        seed=seed,
        spacing_mm=spacing_mm,
        gradient_cache=recipe.training.gradient_cache,
    )


def _mae(recipe: Recipe, config: MAEConfig, spacing_mm: float) -> MAE:
    seed, saving = recipe.seed, _saving(recipe)
    vit = cast(ViTConfig, recipe.encoder)  # refuse_wrong_gradients has seen to it
    encoder = cast(ViT, build_encoder(vit, seed, saving, spacing_mm=spacing_mm))
    decoder = build_mae_decoder(config, vit, seed, saving, spacing_mm=spacing_mm)
    return MAE(encoder, decoder, config, views=recipe.views, seed=seed, spacing_mm=spacing_mm)


def _supervised(recipe: Recipe, spacing_mm: float, material: Material) -> Supervised:
    task, start = material.task, material.start
    encoder = build_encoder(recipe.encoder, recipe.seed, _saving(recipe), spacing_mm=spacing_mm)
    if start is not None:
        encoder.load_state_dict(dict(start.encoder))
    objective = Supervised(
        encoder,
        build_head(recipe.encoder.features, task.head.outputs, recipe.seed),
        task.head,
        values=task.values,
        class_weights=task.weights,
        views=recipe.views,
        seed=recipe.seed,
        spacing_mm=spacing_mm,
    )
    apply_tuning(objective, recipe.tuning, recipe.seed)
    return objective


def _saving(recipe: Recipe) -> Saving:
    training = recipe.training
    return Saving(stem=training.stream_stem, blocks=training.checkpoint_blocks)
