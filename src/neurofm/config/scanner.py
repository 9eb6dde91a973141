"""Knobs of scanner augmentation: what another scanner would have made of the same head."""

from __future__ import annotations

from typing import Literal

from neurofm.config.knobs import Section, knob


class ScannerConfig(Section):
    """Contrast, coil, slices and noise of another scanner; none of it is in the paper."""

    contrast_probability: float = knob(
        0.0, "-", "Chance of a random rising curve from old to new intensities.", ge=0, le=1
    )
    contrast_spread: float = knob(
        0.3, "-", "Standard deviation of the logarithm of the curve's slopes.", ge=0, le=1
    )
    bias_field_probability: float = knob(0.0, "-", "Chance of a smooth bias field.", ge=0, le=1)
    bias_field_rms: float = knob(
        0.1, "-", "Largest rms of the field's logarithm; 0.1 is about 10 % up and down.", ge=0, le=1
    )
    resolution_probability: float = knob(
        0.0, "-", "Chance of thick slices across one axis.", ge=0, le=1
    )
    max_slice_mm: float = knob(
        4.0, "mm", "Thickest slices; thinner ones than a voxel change nothing.", gt=0, le=20
    )
    noise_probability: float = knob(0.0, "-", "Chance of noise in every voxel.", ge=0, le=1)
    noise_share: float = knob(
        0.05, "-", "Largest standard deviation, as a share of the mean signal.", ge=0, le=1
    )
    noise_kind: Literal["rician", "gaussian"] = knob(
        "rician", "-", "Rician, as in magnitude images, or Gaussian."
    )

    @property
    def is_used(self) -> bool:
        """Whether the recipe asks for any of it."""
        return bool(
            self.contrast_probability
            or self.bias_field_probability
            or self.resolution_probability
            or self.noise_probability
        )
