"""Knobs of fine-tuning: which weights of an encoder a supervised run changes, and how far."""

from __future__ import annotations

from typing import Literal

from neurofm.config.knobs import Section, knob


class TuningConfig(Section):
    """Which weights supervised training changes; without given weights, all of them (paper)."""

    trained: Literal["all", "last", "head", "lora"] = knob(
        "all",
        "-",
        "All weights (paper), the last blocks and the head, the head alone, or LoRA and the head.",
    )
    last_blocks: int = knob(
        1, "blocks", "With trained=last: residual or transformer blocks from the end.", ge=1
    )
    layer_decay: float = knob(
        1.0,
        "-",
        "Learning rate of each block relative to the one after it; 1 in the paper.",
        gt=0,
        le=1,
    )
    lora_rank: int = knob(8, "-", "With trained=lora: rank of the updates (Hu et al. 2022).", ge=1)
    lora_alpha: float = knob(
        16.0, "-", "With trained=lora: the updates count alpha / rank times.", gt=0
    )


class ChoosingConfig(Section):
    """Which checkpoint of a supervised run is kept, and when it ends early."""

    patience_epochs: int = knob(
        0, "epochs", "End after so many without a better validation; 0 never does (paper).", ge=0
    )
    validation_metric: Literal["auto", "AUC", "MSE", "loss"] = knob(
        "auto", "-", "auto: AUC for classes, mean squared error for numbers (paper)."
    )
