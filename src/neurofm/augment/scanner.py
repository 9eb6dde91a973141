"""What another scanner would have made of the same head: contrast, coil, slices, noise.

`draw_scanner` draws the numbers; `scanned_box` applies them to the voxels of a crop, after these
are decoded and before they are stretched to a view.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from neurofm.config.scanner import ScannerConfig

Box = Float[Tensor, "depth height width"]
Triple = tuple[int, int, int]

_CURVE_PIECES, _CURVE_STEP = 4, 0.5  # straight pieces of the contrast curve, in mean signals
_WAVES = 3  # the bias field has up to two half waves along each axis


@dataclass(frozen=True)
class ScannerDraw:
    """What happens to the signal of a scan, in this order; each part may be None.

    Attributes:
        contrast_slopes: of the four pieces of the curve, each half a mean signal wide.
        bias_waves: 27 weights of cosines over the volume (z, y, x), of the field's logarithm.
        slice_axis: 0, 1 or 2: across which slices are thick.
        slice_voxels: their thickness; None for slices of one voxel.
        noise_share: standard deviation, as a share of the mean signal.
        is_rician: of the noise.
        noise_seed: of each voxel's noise.
    """

    contrast_slopes: tuple[float, ...] | None
    bias_waves: tuple[float, ...] | None
    slice_axis: int
    slice_voxels: float | None
    noise_share: float | None
    is_rician: bool
    noise_seed: int


def draw_scanner(
    stream: np.random.Generator, config: ScannerConfig, spacing_mm: float
) -> ScannerDraw:
    """Draw another scanner. Every number is drawn whether it is used or not.

    Args:
        stream: at the start of the scanner's stream.
        config: probabilities and ranges.
        spacing_mm: voxel size of the volume.
    """
    contrasts, biases, thickens, is_noisy = (stream.random(4) < _chances(config)).tolist()
    slopes = np.exp(stream.normal(0.0, config.contrast_spread, _CURVE_PIECES))
    waves = _drawn_waves(stream, stream.uniform(0, config.bias_field_rms))
    axis = int(stream.integers(3))
    thickness = stream.uniform(0, config.max_slice_mm) / spacing_mm
    share = stream.uniform(0, config.noise_share)
    noise_seed = int(stream.integers(2**62))
    return ScannerDraw(
        contrast_slopes=tuple(slopes.tolist()) if contrasts else None,
        bias_waves=tuple(waves.tolist()) if biases else None,
        slice_axis=axis,
        slice_voxels=float(thickness) if thickens and thickness > 1 else None,
        noise_share=float(share) if is_noisy and share else None,
        is_rician=config.noise_kind == "rician",
        noise_seed=noise_seed,
    )


def scanned_box(box: Box, scanner: ScannerDraw, start: Triple, full: Triple) -> Box:
    """The signal that another scanner would have given; a new tensor.

    A factor of all intensities comes out as it went in, so stored whole numbers need no decoding.
    The mean signal is the mean of all voxels above 0 in the box. Voxels without signal stay so.
    The numbers of the noise depend on the kind of device, not those of the draw.

    Args:
        box: intensities above the lowest of the volume (which is no signal), float32.
        scanner: the draw.
        start: place of the box's first voxel in the volume (z, y, x).
        full: voxels of the volume.
    """
    has_signal = box > 0
    mean = box.sum() / has_signal.sum().clamp(min=1)
    signal = box / mean.clamp(min=torch.finfo(box.dtype).tiny)
    if scanner.contrast_slopes is not None:
        signal = apply_contrast_curve(signal, scanner.contrast_slopes)
    if scanner.bias_waves is not None:
        signal = apply_bias_field(signal, scanner.bias_waves, start, full)
    if scanner.slice_voxels is not None:
        signal = apply_thick_slices(signal, scanner.slice_axis, scanner.slice_voxels)
    if scanner.noise_share is not None:
        noisy = apply_noise(signal, scanner.noise_share, scanner.is_rician, scanner.noise_seed)
        signal = noisy.mul_(has_signal)
    return signal.mul_(mean)


def scanned_volume(
    image: Float[Tensor, "1 1 depth height width"],
    scanner: ScannerDraw,
    start: Triple,
    size: Triple,
) -> Float[Tensor, "1 1 depth height width"]:
    """A new volume that holds what `scanned_box` makes of one box, and nothing defined elsewhere.

    Args:
        image: one volume; its lowest intensity is no signal.
        scanner: the draw.
        start, size: the box (z, y, x).
    """
    z, y, x = (slice(low, low + count) for low, count in zip(start, size, strict=True))
    seen, full = torch.empty_like(image), image.shape[2:]
    signal = image[0, 0, z, y, x] - image.amin()
    seen[0, 0, z, y, x] = scanned_box(signal, scanner, start, (full[0], full[1], full[2]))
    return seen


def apply_contrast_curve(signal: Box, slopes: tuple[float, ...]) -> Box:
    """Bend intensities along a rising curve through 0, made of straight pieces.

    Args:
        signal: in units of the mean signal.
        slopes: of the pieces; the last one goes on.
    """
    bent = signal * slopes[0]
    for knot, (before, after) in enumerate(pairwise(slopes), start=1):
        bent.add_((signal - knot * _CURVE_STEP).clamp_(min=0), alpha=after - before)
    return bent


def apply_bias_field(signal: Box, waves: tuple[float, ...], start: Triple, full: Triple) -> Box:
    """Multiply by a smooth field: the exponential of a sum of cosines over the whole volume.

    Args:
        signal: of a box of the volume.
        waves: weight of each product of cosines of 0, 1 and 2 half waves (z, y, x).
        start: place of the box's first voxel in the volume.
        full: voxels of the volume.
    """
    weights = torch.tensor(waves, dtype=signal.dtype, device=signal.device)
    z, y, x = (
        _cosines(start[axis], signal.shape[axis], full[axis]).to(signal) for axis in range(3)
    )
    in_slices = torch.einsum("zi,yj,ijk->zyk", z, y, weights.view(_WAVES, _WAVES, _WAVES))
    return (in_slices @ x.T).exp_().mul_(signal)


def apply_thick_slices(signal: Box, axis: int, thickness: float) -> Box:
    """Average over slices across one axis, then interpolate between their middles.

    Args:
        signal: of a box.
        axis: 0, 1 or 2.
        thickness: voxels, 1 or more; rounded so that a whole number of slices fills the box.
    """
    count = signal.shape[axis]
    each = torch.eye(count, dtype=signal.dtype, device=signal.device)[None]
    slices = functional.interpolate(each, size=max(1, round(count / thickness)), mode="area")
    spread = functional.interpolate(slices, size=count, mode="linear", align_corners=False)[0]
    if axis == 2:
        return signal @ spread
    if axis == 1:
        return spread.T @ signal
    return (spread.T @ signal.reshape(count, -1)).view(signal.shape)


def apply_noise(signal: Box, share: float, is_rician: bool, seed: int) -> Box:
    """Add Gaussian noise, or take the magnitude of a signal with noise in both its parts.

    Args:
        signal: in units of the mean signal.
        share: standard deviation, in the same units.
        is_rician: take the magnitude.
        seed: of the noise; equal seeds give equal noise on one kind of device.
    """
    generator = torch.Generator(signal.device).manual_seed(seed)
    real = torch.randn(signal.shape, generator=generator, device=signal.device, dtype=signal.dtype)
    noisy = real.mul_(share).add_(signal)
    if not is_rician:
        return noisy
    other = torch.randn(signal.shape, generator=generator, device=signal.device, dtype=signal.dtype)
    other.mul_(share)
    return noisy.mul_(noisy).addcmul_(other, other).sqrt_()


def _chances(config: ScannerConfig) -> tuple[float, float, float, float]:
    return (
        config.contrast_probability,
        config.bias_field_probability,
        config.resolution_probability,
        config.noise_probability,
    )


def _drawn_waves(stream: np.random.Generator, rms: float) -> np.ndarray:
    """Random weights of all waves but the constant, whose sum has this rms over the volume."""
    waves = stream.normal(size=_WAVES**3)
    waves[0] = 0.0
    shares = [0.5 ** sum(wave > 0 for wave in each) for each in product(range(_WAVES), repeat=3)]
    return waves * (rms / math.sqrt(float((waves**2 * shares).sum())))


def _cosines(start: int, count: int, full: int) -> Float[Tensor, "count waves"]:
    places = (torch.arange(start, start + count, dtype=torch.float64) + 0.5) / full
    return torch.cos(math.pi * places[:, None] * torch.arange(_WAVES, dtype=torch.float64))
