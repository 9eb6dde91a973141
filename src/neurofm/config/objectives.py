"""Knobs of the objectives: what a model is trained to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, model_validator

from neurofm.config.knobs import Section, knob


class SimCLRConfig(Section):
    """Contrast between two views of a participant and all other participants (equation 1)."""

    kind: Literal["simclr"] = knob("simclr", "-", "The objective.")
    temperature: float = knob(0.5, "-", "Temperature of NT-Xent (paper).", gt=0)
    projection_size: int = knob(64, "features", "Size of the projection z (paper).", ge=1)


class MAEConfig(Section):
    """Reconstruction of masked patches from the visible ones (equation 2)."""

    kind: Literal["mae"] = knob("mae", "-", "The objective.")
    mask_ratio: float = knob(
        0.75, "-", "Share of patches that the encoder never sees (paper).", gt=0, lt=1
    )
    decoder_width: int = knob(512, "features", "Of a decoder's token (He et al. 2022).", ge=6)
    decoder_depth: int = knob(8, "blocks", "Of the decoder (He et al. 2022).", ge=1)
    decoder_heads: int = knob(16, "heads", "Of its attention; divides its width.", ge=1)
    normalise_patches: bool = knob(
        False, "-", "Each target patch with mean 0 and standard deviation 1; the paper's is as is."
    )
    only_brain: bool = knob(
        False, "-", "Learn from masked patches that hold brain only; the paper: from all."
    )

    @model_validator(mode="after")
    def _heads_divide(self) -> MAEConfig:
        if self.decoder_width % self.decoder_heads:
            raise ValueError("decoder_heads has to divide decoder_width")
        return self


class SupervisedConfig(Section):
    """Prediction of a label from the features by one linear layer (section 4.2)."""

    kind: Literal["supervised"] = knob("supervised", "-", "The objective.")
    target: str = knob("age_years", "-", "The index column to predict; numbers by regression.")
    classes: tuple[str, ...] = knob(
        (), "-", 'Only people of these classes, such as [H, AD] or ["1", "2"]; empty: of all.'
    )
    class_weights: Literal["balanced", "none"] = knob(
        "balanced", "-", "Balanced: every class weighs the same in training; the paper: none."
    )
    standardise_target: bool = knob(
        True, "-", "Regress on the target less its mean over its spread in the training part."
    )


def _kind(value: Any) -> Any:
    """Which objective a section is of; recipes may leave out the paper's."""
    return value.get("kind", "simclr") if isinstance(value, dict) else value.kind


ObjectiveConfig = Annotated[
    Annotated[SimCLRConfig, Tag("simclr")]
    | Annotated[MAEConfig, Tag("mae")]
    | Annotated[SupervisedConfig, Tag("supervised")],
    Discriminator(_kind),
]
