"""The paper's released model: its preprocessing, its training data, how to cite it."""

from __future__ import annotations

from neurofm.models.card import CohortCount
from neurofm.preprocess.contract import Contract
from neurofm.preprocess.turboprep import turboprep_contract

SPACING_MM = 1.0
DESCRIPTION = (
    "3D ResNet-18 pre-trained with SimCLR on 18,759 patients (44,958 T1-weighted scans) of 11 "
    "data sets, imported from the authors' checkpoint."
)
CITATION = (
    "Kaczmarek E, Szeto J, Nichyporuk B, Arbel T. Building a General SimCLR Self-Supervised "
    "Foundation Model Across Neurological Diseases to Advance 3D Brain MRI Diagnoses. 2025."
)
SOURCE = "https://github.com/emilykaczmarek/3D-Neuro-SimCLR"
TERMS = "As published by the authors (their code: MIT); read the terms at the source before use."

# Table 1 of the paper: data set, patients, T1 scans.
COHORTS = tuple(
    CohortCount(cohort=name, participants=participants, scans=scans)
    for name, participants, scans in (
        ("ADNI", 3028, 21778),
        ("AOMIC", 1368, 1368),
        ("CoRR", 1416, 1416),
        ("DLBS", 315, 315),
        ("GSP", 1569, 1569),
        ("HABS-HD", 4231, 6429),
        ("MCSA", 1802, 3090),
        ("NIFD", 346, 1815),
        ("PPMI", 3124, 5618),
        ("SALD", 458, 458),
        ("SOOP", 1102, 1102),
    )
)


def released_contract() -> Contract:
    """The preprocessing the released model expects: TurboPrep's, registered rigidly."""
    return turboprep_contract("rigid")
