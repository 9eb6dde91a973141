"""Knobs of random affine maps: a small turn, scaling and move of the whole head."""

from __future__ import annotations

from typing import Literal

from neurofm.config.knobs import Section, knob


class AffineConfig(Section):
    """A turn, scaling and move of a view, as in MONAI's RandAffine; off in SimCLR's views."""

    probability: float = knob(
        0.0, "-", "Chance of an affine map (paper, supervised: 0.7).", ge=0, le=1
    )
    rotation_radians: float = knob(
        0.1, "rad", "Largest turn about each of the three axes (paper, supervised).", ge=0, le=3.15
    )
    scale: float = knob(
        0.15, "-", "Largest change of size along each axis, as a share (paper).", ge=0, le=0.9
    )
    translation_mm: float = knob(
        5.0, "mm", "Largest move along each axis (paper: 5 voxels of 1 mm).", ge=0, le=100
    )
    padding: Literal["reflection", "border", "zeros"] = knob(
        "reflection",
        "-",
        "What lies beyond the border: its mirror image (MONAI's default, the paper is silent), the "
        "border's value going on, or 0.",
    )
