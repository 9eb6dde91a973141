"""Knobs of everything before training: phantoms, preprocessing, packing, splits."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator, model_validator

from neurofm.config.knobs import Section, knob


class PhantomConfig(Section):
    """The simulated cohort that stands in for scans where none are given."""

    participants: int = knob(0, "people", "Size of the cohort; 0 makes none.", ge=0)
    spacing_mm: float = knob(1.0, "mm", "Voxel size of the simulated scans.", ge=0.5, le=6)
    stripped: bool = knob(False, "-", "Without skull and scalp, as some archives deliver.")
    sites: int = knob(3, "sites", "Scanners that differ in contrast, noise and field.", ge=1, le=8)
    repeat_fraction: float = knob(
        0.2, "-", "Share of participants with a second session, 1 to 3 years later.", ge=0, le=1
    )
    age_range_years: tuple[float, float] = knob(
        (20.0, 85.0), "years", "Youngest and oldest; patients start later (AD at 58)."
    )
    mci_fraction: float = knob(0.1, "-", "Share with mild cognitive impairment.", ge=0, le=1)
    ad_fraction: float = knob(0.1, "-", "Share with Alzheimer's disease.", ge=0, le=1)
    stroke_fraction: float = knob(
        0.1, "-", "Share with a stroke, its lesion sized by the NIHSS.", ge=0, le=1
    )
    site_confounding: float = knob(
        0.0, "-", "Share of participants whose site follows from age; 0 balances sites.", ge=0, le=1
    )

    @field_validator("age_range_years")
    @classmethod
    def _ages_ascend(cls, ages: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ages[0] < ages[1] <= 110:
            raise ValueError("two ascending ages between 0 and 110 are wanted")
        return ages

    @model_validator(mode="after")
    def _nobody_is_counted_twice(self) -> PhantomConfig:
        if self.mci_fraction + self.ad_fraction + self.stroke_fraction > 1 + 1e-9:
            raise ValueError("more than everybody is ill: lower the fractions")
        return self


class PreprocessConfig(Section):
    """TurboPrep's steps; whatever changes a voxel is part of the preprocessing contract."""

    transform: Literal["rigid", "affine"] = knob(
        "rigid", "-", "Registration to MNI152; the released model was made with rigid."
    )
    spacing_mm: float = knob(
        1.0, "mm", "Spacing of the template grid the result lies on; the paper's is 1.", ge=1, le=6
    )
    brain_extraction: Literal["deepbet", "synthstrip", "hd-bet"] = knob(
        "deepbet",
        "-",
        "Back-end for whole heads; stripped scans are recognised and kept. All but deepbet are "
        "programs you install yourself.",
    )
    tissue: Literal["mixture", "synthseg"] = knob(
        "mixture", "-", "Tissue map: our mixture model, or FreeSurfer's SynthSeg if you have it."
    )
    bias_field_spacing_mm: float = knob(
        1.7,
        "mm",
        "Grid the bias field is fitted on; it is smooth, so coarse is enough.",
        ge=1,
        le=8,
    )
    bias_field_shrink: int = knob(3, "-", "N4 shrink factor on that grid (paper: 3).", ge=1, le=4)
    registration_spacing_mm: float = knob(
        2.0,
        "mm",
        "Finest level of the registration; within a millimetre of full resolution, in a fraction.",
        ge=1,
        le=4,
    )
    template: str = knob(
        "nilearn",
        "-",
        "'nilearn' (packaged MNI152 2009 symmetric), 'templateflow' (2009c, from your own copy) or "
        "the path of a T1 template.",
    )
    volume_index: int | None = knob(
        None, "-", "Which volume of a 4-D file to take, from 0; none refuses such files.", ge=0
    )
    assume_orientation: Literal["LAS", "RAS"] | None = knob(
        None, "-", "How voxels lie where a header does not say; none refuses such files."
    )


class StoreConfig(Section):
    """The packed volumes a model reads."""

    spacing_mm: float = knob(
        1.0, "mm", "Isotropic spacing of the 150x192x192 mm box; 3 gives 50x64x64.", ge=1, le=6
    )
    scans_per_shard: int = knob(
        64, "scans", "Scans in one memory-mapped file (11 MB each at 1 mm).", ge=1
    )
    include_failed: tuple[str, ...] = knob(
        (), "scan ids", "Scans that enter although their quality verdict is 'fail'."
    )


class SplitConfig(Section):
    """Which participants pre-training may see; drawn by participant, never by scan."""

    preset: Literal["none", "paper", "three-parts"] = knob(
        "none",
        "-",
        "'paper' divides SOOP, AIBL and IXI as the paper does; others pre-train. 'three-parts' "
        "divides everybody by the task fractions; the training part pre-trains too.",
    )
    drop_unlabelled: bool = knob(
        False, "-", "Leave out people without a task's or a preset's label, instead of stopping."
    )
    held_out_fraction: float = knob(
        0.0, "-", "Share of participants kept from pre-training, for evaluation.", ge=0, lt=1
    )
    stratify: tuple[str, ...] = knob(
        ("cohort",), "-", "Index columns whose proportions both sides keep."
    )
    task_test_fraction: float = knob(
        0.2, "-", "Of the people a task may use, for its test (paper: 60/20/20).", ge=0, lt=1
    )
    task_validation_fraction: float = knob(
        0.2, "-", "Of the same, for choosing among checkpoints and settings (paper).", ge=0, lt=1
    )
    task_train_fraction: float = knob(
        1.0, "-", "Of a task's training part, how much is used: data efficiency.", gt=0, le=1
    )
    task_cohorts: tuple[str, ...] = knob(
        (), "-", "Cohorts whose people a task may use; empty: of all."
    )
    task_seed: int = knob(
        0,
        "-",
        "Draws these parts; another number than the seed, so that repeats share a test.",
        ge=0,
    )

    @model_validator(mode="after")
    def _some_train(self) -> SplitConfig:
        if self.task_test_fraction + self.task_validation_fraction >= 1:
            raise ValueError("nobody is left to train on: lower the task fractions")
        return self
