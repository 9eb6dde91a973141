"""The paper's Table 2: mean and standard deviation of five runs, by row and task.

Source: "Building a General SimCLR Self-Supervised Foundation Model Across Neurological Diseases to
Advance 3D Brain MRI Diagnoses" (2025), Table 2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One cell of the table: mean and standard deviation over five runs."""

    mean: float
    sd: float


STROKE, ALZHEIMER, SEX, AGE = "stroke", "alzheimer", "sex", "age"
METRICS = {STROKE: "MAE", ALZHEIMER: "AUC", SEX: "AUC", AGE: "MAE"}

TABLE_2: dict[str, dict[str, Published]] = {
    "ResNet-18 supervised": {
        STROKE: Published(5.47, 0.09), ALZHEIMER: Published(0.869, 0.030),
        SEX: Published(0.988, 0.005), AGE: Published(4.85, 0.13),
    },
    "ViT-T supervised": {
        STROKE: Published(6.02, 0.09), ALZHEIMER: Published(0.844, 0.054),
        SEX: Published(0.876, 0.014), AGE: Published(7.53, 0.25),
    },
    "MAE linear probe": {
        STROKE: Published(6.12, 0.02), ALZHEIMER: Published(0.539, 0.053),
        SEX: Published(0.839, 0.026), AGE: Published(15.28, 0.18),
    },
    "MAE fine-tuned": {
        STROKE: Published(6.15, 0.15), ALZHEIMER: Published(0.798, 0.042),
        SEX: Published(0.864, 0.025), AGE: Published(8.53, 0.28),
    },
    "SimCLR linear probe": {
        STROKE: Published(5.87, 0.07), ALZHEIMER: Published(0.904, 0.008),
        SEX: Published(0.896, 0.006), AGE: Published(5.90, 0.16),
    },
    "SimCLR fine-tuned": {
        STROKE: Published(5.37, 0.24), ALZHEIMER: Published(0.929, 0.028),
        SEX: Published(0.991, 0.004), AGE: Published(4.35, 0.22),
    },
}  # fmt: skip


def published(row: str | None, task: str | None) -> Published | None:
    """What the paper reports for a row and a task; None where it reports nothing."""
    return TABLE_2.get(row or "", {}).get(task or "")
