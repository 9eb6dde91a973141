"""The simulated scanners: each with its own contrast, field, noise, voxels and orientation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """One scanner and its protocol; intensities are relative to white matter.

    Attributes:
        name: as in participants.tsv.
        grey, fluid: T1 intensity of grey matter and of cerebrospinal fluid.
        fat: factor on everything around the brain.
        gamma: exponent of the scanner's grey scale.
        gain: stored value of white matter.
        bias: standard deviation of the logarithm of the receive field.
        noise: standard deviation of each channel's noise in 1 mm voxels.
        voxel: voxel size along right, anterior, superior, in units of the cohort's spacing.
        axes: which way the stored array's axes run, e.g. "PSR".
        oblique_degrees: tilt of the slices about the left-right axis.
    """

    name: str
    grey: float
    fluid: float
    fat: float
    gamma: float
    gain: float
    bias: float
    noise: float
    voxel: tuple[float, float, float]
    axes: str
    oblique_degrees: float


SITES = (
    Site("A", 0.70, 0.24, 1.0, 1.00, 420, 0.06, 0.025, (1.0, 1.0, 1.0), "RAS", 0.0),
    Site("B", 0.76, 0.30, 1.2, 0.90, 900, 0.12, 0.035, (1.2, 1.0, 1.0), "PSR", 6.0),
    Site("C", 0.64, 0.18, 0.8, 1.12, 160, 0.09, 0.030, (1.0, 1.0, 1.25), "LPS", 12.0),
    Site("D", 0.72, 0.34, 1.1, 0.95, 1300, 0.16, 0.045, (1.1, 0.95, 0.95), "ASL", 0.0),
    Site("E", 0.67, 0.20, 0.9, 1.05, 250, 0.05, 0.020, (0.95, 0.95, 0.95), "LIA", -8.0),
    Site("F", 0.78, 0.28, 1.3, 0.85, 620, 0.10, 0.050, (1.0, 1.3, 1.0), "RSA", 0.0),
    Site("G", 0.74, 0.22, 0.7, 1.08, 2000, 0.14, 0.030, (1.05, 1.05, 1.05), "SPL", 4.0),
    Site("H", 0.66, 0.32, 1.0, 1.00, 330, 0.08, 0.040, (1.0, 1.0, 1.15), "LAS", -15.0),
)
