"""Knobs of views, training and evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from neurofm.config.affine import AffineConfig
from neurofm.config.knobs import Section, knob
from neurofm.config.scanner import ScannerConfig

Length = Annotated[float, Field(gt=0)]
Exponent = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class ViewsConfig(Section):
    """Positive pairs and their random views, in the paper's order (section 4.2)."""

    epoch_of: Literal["participants", "scans"] = knob(
        "participants",
        "-",
        "An epoch holds each participant once (paper), or each scan once (released code).",
    )
    positive: Literal["same-scan", "second-scan"] = knob(
        "same-scan",
        "-",
        "The second view is of the same scan (paper), or of another one of the participant.",
    )
    distinct_draws: int = knob(
        0,
        "draws",
        "Each epoch uses so many fixed draws again, as the released code's loader did; 0 for new "
        "ones each time.",
        ge=0,
    )

    min_crop_mm: tuple[Length, Length, Length] = knob(
        (30.0, 40.0, 40.0), "mm (z, y, x)", "Smallest crop, each axis drawn alone (paper)."
    )
    max_stretch_ratio: float | None = knob(
        None, "-", "Largest ratio of two axes' stretches in a view; none in the paper.", ge=1.05
    )
    min_overlap: float = knob(
        0.0, "-", "Smallest intersection over union of two views' crops.", ge=0, le=0.9
    )
    min_brain_fraction: float = knob(
        0.0, "-", "Smallest share of brain in a crop, judged by MNI152's brain.", ge=0, le=0.3
    )
    max_crop_draws: int = knob(
        256, "pairs", "Drawn until the three limits above hold; then the whole volume.", ge=1
    )
    flip_probability: float = knob(0.5, "-", "Left-right flip (paper).", ge=0, le=1)
    rotation_radians: float = knob(
        0.785, "rad", "Largest in-plane rotation about the first axis (paper).", ge=0, le=3.15
    )
    rotation_probability: float = knob(0.5, "-", "Chance of a rotation (paper).", ge=0, le=1)
    intensity_shift: float = knob(
        0.5, "-", "Largest shift; the later z-score removes it, kept for fidelity.", ge=0
    )
    intensity_shift_probability: float = knob(0.8, "-", "Chance of a shift (paper).", ge=0, le=1)
    gamma_range: tuple[Exponent, Exponent] = knob(
        (0.5, 1.5), "-", "Lowest and highest contrast exponent (paper)."
    )
    gamma_probability: float = knob(0.8, "-", "Chance of a contrast change (paper).", ge=0, le=1)
    affine: AffineConfig = AffineConfig()
    noise_probability: float = knob(
        0.0, "-", "Chance of Gaussian noise, the last step (paper, supervised: 0.2).", ge=0, le=1
    )
    noise_std: float = knob(
        0.1,
        "-",
        "Largest standard deviation of the noise, drawn from 0 up to it as MONAI does (paper).",
        ge=0,
    )
    zscore: Literal["after", "before"] = knob(
        "after",
        "-",
        "Inside the mask as the view moved it (paper, pre-training), or of the whole scan before "
        "all else, so that a shift and noise mean something; nothing is masked after that.",
    )
    scanner: ScannerConfig = ScannerConfig()
    max_redraws: int = knob(
        10, "draws", "Draws again where a view has no brain or a NaN, before the scan fails.", ge=0
    )

    @field_validator("gamma_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the lowest exponent comes first")
        return value

    @model_validator(mode="after")
    def _scanner_sees_signal(self) -> ViewsConfig:
        if self.zscore == "before" and self.scanner.is_used:
            raise ValueError("scanner augmentation needs the scan's own intensities: zscore=after")
        return self


class TrainingConfig(Section):
    """One run of the training loop."""

    epochs: int = knob(150, "epochs", "Each participant is seen once an epoch (paper).", ge=1)
    batch_size: int = knob(
        72, "participants", "Over all processes together; negatives come from all (paper).", ge=2
    )
    optimizer: Literal["adam", "adamw", "lars"] = knob(
        "adam", "-", "Adam (paper), AdamW, or LARS for batches of thousands."
    )
    betas: tuple[Decay, Decay] = knob(
        (0.9, 0.999), "-", "Of Adam's two averages; MAE's second is 0.95 (He et al. 2022)."
    )
    learning_rate: float = knob(
        3e-4, "-", "Its highest value; constant in the paper. LARS wants far more, e.g. 0.3.", gt=0
    )
    schedule: Literal["constant", "cosine"] = knob(
        "constant", "-", "After the warm-up: constant (paper), or half a cosine down to the last."
    )
    warmup_epochs: float = knob(
        0.0, "epochs", "The rate rises from step to step in equal parts; none in the paper.", ge=0
    )
    last_learning_rate: float = knob(0.0, "-", "What the cosine comes down to.", ge=0)
    weight_decay: float = knob(
        0.0, "-", "None in the paper. AdamW and LARS leave biases and norms out.", ge=0
    )
    momentum: float = knob(0.9, "-", "Of LARS (You et al. 2017).", ge=0, lt=1)
    trust_coefficient: float = knob(
        0.001, "-", "Of LARS: a layer's step relative to its weights (You et al. 2017).", gt=0
    )
    max_skipped_in_a_row: int = knob(
        3, "steps", "So many steps in a row without a finite loss or gradient end the run.", ge=1
    )
    max_bad_scans: int = knob(
        5,
        "scans",
        "So many different scans may fail, each costing its step; more end the run. A few are "
        "damage; a lost file of the store has dozens.",
        ge=0,
    )
    checkpoint_steps: int = knob(
        100,
        "steps",
        "A checkpoint after so many steps of an epoch; changes no number.",
        ge=1,
    )
    checkpoint_epochs: int = knob(
        1,
        "epochs",
        "A checkpoint after every so many epochs and the last; more where epochs take seconds.",
        ge=1,
    )
    precision: Literal["auto", "float32", "bf16"] = knob(
        "auto", "-", "Of the encoder: bf16 on a GPU that has it, else float32; the loss is float32."
    )
    tf32: bool = knob(
        True, "-", "A GPU may round a float32 convolution's factors to 10 bits (PyTorch's default)."
    )
    channels_last: Literal["auto"] | bool = knob(
        "auto", "-", "Memory order of the encoder; auto: channels last on CUDA only."
    )
    compile: bool = knob(
        False, "-", "Encoder through torch.compile: slow first step, other rounding."
    )
    checkpoint_blocks: bool = knob(
        False, "-", "Residual blocks keep their input only; backward computes again. Exact."
    )
    stream_stem: bool = knob(
        False, "-", "The stem goes sample by sample and keeps its input only. Exact."
    )
    gradient_cache: int | None = knob(
        None, "scans", "Encode so many at a time, keep projections only; group norm only.", ge=1
    )
    accumulate: int = knob(
        1,
        "parts",
        "Gradients of a batch added up over so many; 1 for contrastive losses, batch norm.",
        ge=1,
    )

    @model_validator(mode="after")
    def _schedule_fits(self) -> TrainingConfig:
        if self.warmup_epochs >= self.epochs and self.warmup_epochs > 0:
            raise ValueError("warmup_epochs has to be less than epochs")
        if self.last_learning_rate > self.learning_rate:
            raise ValueError("last_learning_rate has to be at most learning_rate")
        return self


class EvaluationConfig(Section):
    """The linear probe on frozen features: cross-validated by participant, or on a test part."""

    targets: tuple[str, ...] = knob(
        ("age_years", "sex"), "-", "Index columns to predict: numbers by regression, else classes."
    )
    parts: Literal["folds", "task"] = knob(
        "folds", "-", "Who is predicted: all by folds, or the task's test part (paper)."
    )
    probe: Literal["sound", "paper", "both"] = knob(
        "sound",
        "-",
        "Regularised, its strength chosen; or the paper's layer of 100 epochs, with parts=task.",
    )
    neighbours: bool = knob(True, "-", "Also predict by the nearest neighbours of each encoder.")
    folds: int = knob(5, "folds", "Participant-level cross-validation.", ge=2)
    seeds: int = knob(
        5, "seeds", "Repeats with other folds, random encoders, layers of the paper's probe.", ge=1
    )
    age_bias_correction: bool = knob(
        False, "-", "Also show age_years without the bias over age; no accuracy, it uses the age."
    )
    bootstrap_samples: int = knob(2000, "resamples", "Of participants, for comparisons.", ge=100)
    confidence: float = knob(0.95, "-", "Level of the intervals.", gt=0, lt=1)

    @model_validator(mode="after")
    def _paper_needs_validation(self) -> EvaluationConfig:
        if self.probe != "sound" and self.parts != "task":
            raise ValueError(f"probe={self.probe} chooses an epoch on validation: add parts=task")
        return self
