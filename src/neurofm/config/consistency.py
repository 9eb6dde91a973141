"""Sections of a recipe that do not go together, and ways to save memory that would be wrong."""

from __future__ import annotations

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.learning import TrainingConfig
from neurofm.config.objectives import MAEConfig, ObjectiveConfig, SimCLRConfig
from neurofm.errors import ConfigError

_LARGE_BATCH = "use training.checkpoint_blocks and training.stream_stem, or more processes"


def refuse_wrong_gradients(
    encoder: ResNetConfig | ViTConfig, objective: ObjectiveConfig, training: TrainingConfig
) -> None:
    """See that objective and encoder fit, and that what saves memory leaves the gradient as it is.

    Raises:
        ConfigError: names the knob and what to use instead.
    """
    _refuse_wrong_encoder(encoder, objective, training)
    _refuse_wrong_cache(encoder, objective, training)
    if training.accumulate > 1:
        _refuse_wrong_parts(encoder, objective, training)


def _refuse_wrong_encoder(
    encoder: ResNetConfig | ViTConfig, objective: ObjectiveConfig, training: TrainingConfig
) -> None:
    if isinstance(objective, MAEConfig) and not isinstance(encoder, ViTConfig):
        raise ConfigError(
            "a masked autoencoder leaves patches out, which only a transformer can",
            "use encoder.kind=vit",
            "objective.kind",
        )
    if training.stream_stem and isinstance(encoder, ViTConfig):
        raise ConfigError(
            "a vision transformer has no stem", "use training.checkpoint_blocks",
            "training.stream_stem",
        )  # fmt: skip


def _refuse_wrong_cache(
    encoder: ResNetConfig | ViTConfig, objective: ObjectiveConfig, training: TrainingConfig
) -> None:
    if training.gradient_cache is None:
        return
    if not isinstance(objective, SimCLRConfig):
        raise ConfigError(
            "is for losses that compare the participants of a batch",
            "use training.accumulate",
            "training.gradient_cache",
        )
    if isinstance(encoder, ResNetConfig) and encoder.norm == "batch":
        raise ConfigError(
            "batch norm would take its statistics from each part of the batch, which is another "
            "loss with another gradient",
            "use training.checkpoint_blocks and training.stream_stem, or encoder.norm=group",
            "training.gradient_cache",
        )


def _refuse_wrong_parts(
    encoder: ResNetConfig | ViTConfig, objective: ObjectiveConfig, training: TrainingConfig
) -> None:
    reason, mend = "", _LARGE_BATCH
    if isinstance(objective, SimCLRConfig):
        reason = (
            "a contrastive loss compares all participants of a batch, so gradients added up over "
            "smaller batches are those of a loss with fewer negatives; for a large batch"
        )
    elif isinstance(encoder, ResNetConfig) and encoder.norm == "batch":
        reason = (
            "batch norm would take its statistics from each part of the batch, which is another "
            "loss with another gradient; for a large batch"
        )
    elif isinstance(objective, MAEConfig) and objective.only_brain:
        reason = "parts of a batch have different numbers of patches with brain; for a large batch"
        mend = "use training.checkpoint_blocks, or more processes"
    elif training.batch_size % training.accumulate:
        reason = f"does not divide training.batch_size={training.batch_size}"
        mend = "choose a divisor of it"
    if reason:
        raise ConfigError(reason, mend, "training.accumulate")
