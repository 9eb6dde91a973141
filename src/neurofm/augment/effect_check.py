"""Does each transform of a recipe change what the network sees? Tried alone on a small phantom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from neurofm.augment.affine import draw_affine
from neurofm.augment.draws import ViewDraw, draw_view
from neurofm.augment.noise import draw_noise
from neurofm.augment.scanner import ScannerDraw, draw_scanner
from neurofm.augment.views import finished_views
from neurofm.config.learning import ViewsConfig
from neurofm.seeds import random_stream

_SHAPE, _SPACING_MM = (25, 32, 32), 6.0
_TRIES = 8
_NOTHING = 1e-3  # standard deviations; rounding stays far below
_SHIFT = "intensity shift"
# What a transform does in vain, where the reason is known.
_REASONS = {
    _SHIFT: "the z-score removes any constant",
    "crop": "every view shows the whole volume",
    "slice thickness": "no slice is thicker than a voxel",
}


@dataclass(frozen=True)
class Effect:
    """What one transform of a recipe does to a view, everything else left away.

    Attributes:
        transform: its name.
        largest_change: of a voxel of the view, in standard deviations, over several draws.
        reason: why it would be in vain.
    """

    transform: str
    largest_change: float
    reason: str = "its range is empty"

    @property
    def warning(self) -> str:
        """One line where the transform changes nothing; else empty."""
        if self.largest_change > _NOTHING:
            return ""
        return f"views: the {self.transform} changes nothing: {self.reason}"


def check_effects(config: ViewsConfig, spacing_mm: float) -> tuple[Effect, ...]:
    """Apply each transform the recipe asks for alone, through the whole chain with its z-score.

    A shift changes something only where the z-score comes first. A phantom of 25x32x32 voxels of
    6 mm stands for the volume; thick slices are tried with the thickness they have in voxels of
    `spacing_mm`.

    Args:
        config: the recipe's views.
        spacing_mm: voxel size of the volumes the recipe is for.
    """
    image, mask = _phantom()
    is_first = config.zscore == "before"
    untouched = ViewDraw((0, 0, 0), _SHAPE, False, None, 0.0, None, zscore_first=is_first)
    plain = _seen(image, mask, untouched)
    changes: dict[str, float] = {}
    for attempt in range(_TRIES):
        for name, draw in _alone(config, spacing_mm, attempt, untouched):
            change = float((_seen(image, mask, draw) - plain).abs().max()) if draw else 0.0
            changes[name] = max(changes.get(name, 0.0), change)
    reasons = {name: why for name, why in _REASONS.items() if not (is_first and name == _SHIFT)}
    return tuple(
        Effect(name, change, reasons[name]) if name in reasons else Effect(name, change)
        for name, change in changes.items()
    )


def _alone(
    config: ViewsConfig, spacing_mm: float, attempt: int, untouched: ViewDraw
) -> Iterator[tuple[str, ViewDraw]]:
    """Each transform that the recipe asks for, as a draw that does nothing else."""
    stream = random_stream("effect", attempt)
    drawn = draw_view(stream, _always(config), _SHAPE, _SPACING_MM)
    yield "crop", replace(untouched, crop_start=drawn.crop_start, crop_size=drawn.crop_size)
    if config.flip_probability:
        yield "flip", replace(untouched, flip=drawn.flip)
    if config.rotation_probability:
        yield "rotation", replace(untouched, rotation_radians=drawn.rotation_radians)
    if config.intensity_shift_probability:
        yield _SHIFT, replace(untouched, shift=drawn.shift)
    if config.gamma_probability:
        yield "contrast", replace(untouched, gamma=drawn.gamma)
    if config.affine.probability:
        certain = config.affine.model_copy(update={"probability": 1.0})
        affine = draw_affine(random_stream("effect of affine", attempt), certain, _SPACING_MM)
        yield "affine map", replace(untouched, affine=affine)
    if config.noise_probability:
        noise = draw_noise(random_stream("effect of noise", attempt), 1.0, config.noise_std)
        yield "Gaussian noise", replace(untouched, noise=noise)
    for name, scanner in _scanners_alone(config, spacing_mm, attempt):
        yield name, replace(untouched, scanner=scanner)


def _scanners_alone(
    config: ViewsConfig, spacing_mm: float, attempt: int
) -> Iterator[tuple[str, ScannerDraw]]:
    asked, stream = config.scanner, random_stream("effect of scanner", attempt)
    drawn = draw_scanner(stream, _always(config).scanner, spacing_mm)
    nothing = replace(
        drawn, contrast_slopes=None, bias_waves=None, slice_voxels=None, noise_share=None
    )
    if asked.contrast_probability:
        yield "contrast curve", replace(nothing, contrast_slopes=drawn.contrast_slopes)
    if asked.bias_field_probability:
        yield "bias field", replace(nothing, bias_waves=drawn.bias_waves)
    if asked.resolution_probability:
        yield "slice thickness", replace(nothing, slice_voxels=drawn.slice_voxels)
    if asked.noise_probability:
        yield "noise", replace(nothing, noise_share=drawn.noise_share)


def _always(config: ViewsConfig) -> ViewsConfig:
    """The same ranges, each transform at every draw."""
    scanner = config.scanner.model_copy(
        update={
            "contrast_probability": 1.0,
            "bias_field_probability": 1.0,
            "resolution_probability": 1.0,
            "noise_probability": 1.0,
        }
    )
    certain = {
        "flip_probability": 1.0,
        "rotation_probability": 1.0,
        "intensity_shift_probability": 1.0,
        "gamma_probability": 1.0,
    }
    return config.model_copy(update=certain | {"scanner": scanner})


def _seen(image: Tensor, mask: Tensor, draw: ViewDraw) -> Tensor:
    return finished_views(image, mask, [draw])[0]


def _phantom() -> tuple[Tensor, Tensor]:
    """A brain-like ellipsoid of shells that is brighter to one side, on a dark ground."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, count) for count in _SHAPE), indexing="ij")
    radius = ((z / 0.75) ** 2 + (y / 0.85) ** 2 + (x / 0.7) ** 2).sqrt()
    inside = radius < 1
    tissue = 6 + 2 * torch.cos(9 * radius) + 0.8 * x + 0.5 * y + 0.3 * torch.sin(23 * z)
    image = torch.where(inside, tissue, torch.zeros(()))
    return image[None, None], inside[None, None]
