"""The numbers drawn for a view, in words for a caption."""

from __future__ import annotations

import math

import numpy as np

from neurofm.augment.affine import AffineDraw
from neurofm.augment.scanner import ScannerDraw
from neurofm.reports.view_samples import ShownPair, ShownView

_AXES = ("z", "y", "x")


def pair_words(pair: ShownPair) -> str:
    """How two views belong together."""
    scans = "two scans of one participant" if pair.is_of_two_scans else "one scan"
    apart = "" if pair.overlap else ": no voxel in common"
    return f"{scans}\noverlap of the crops (IoU) {pair.overlap:.2f}{apart}"


def draw_words(view: ShownView) -> str:
    """What was done to a view: geometry, affine map, intensities, scanner; a line each."""
    draw = view.draw
    shares = [size / full for size, full in zip(draw.crop_size, view.scan.shape, strict=True)]
    crop = " x ".join(f"{share:.0%}" for share in shares)
    turn = (
        ""
        if draw.rotation_radians is None
        else f", turned {math.degrees(draw.rotation_radians):+.0f}°"
    )
    flip = ", flipped" if draw.flip else ""
    brain = float(np.mean(view.mask))
    first = f"crop {crop} (z, y, x), stretch {view.stretch:.1f}:1{flip}{turn}, brain {brain:.0%}"
    parts = [f"shift {draw.shift:+.2f}"] if draw.shift else []
    parts += [] if draw.gamma is None else [f"gamma {draw.gamma:.2f}"]
    parts += [] if draw.noise is None else [f"noise {draw.noise.std:.2f}"]
    lines = [first]
    if draw.affine is not None:
        lines.append(_affine_words(draw.affine))
    lines.append(", ".join(parts) or "no shift, no gamma")
    if draw.scanner is not None:
        lines.append(_scanner_words(draw.scanner))
    return "\n".join(lines)


def _affine_words(affine: AffineDraw) -> str:
    """Sizes and moves, in voxels, as they are seen: the draw says where voxels come from."""
    turns = " ".join(f"{math.degrees(radians):+.1f}" for radians in affine.rotation_radians)
    sizes = " ".join(f"{100 / scale:.0f}" for scale in affine.scale)
    shifts = zip(affine.translation_voxels, affine.scale, strict=True)
    moves = " ".join(f"{-voxels / scale:+.1f}" for voxels, scale in shifts)
    return f"affine: turned {turns}°, size {sizes} %, moved {moves}"


def _scanner_words(scanner: ScannerDraw) -> str:
    parts = []
    if scanner.contrast_slopes is not None:
        slopes = ", ".join(f"{slope:.1f}" for slope in scanner.contrast_slopes)
        parts.append(f"curve slopes {slopes}")
    if scanner.bias_waves is not None:
        parts.append("bias field")
    if scanner.slice_voxels is not None:
        axis = _AXES[scanner.slice_axis]
        parts.append(f"slices of {scanner.slice_voxels:.1f} voxels in {axis}")
    if scanner.noise_share is not None:
        parts.append(f"noise {scanner.noise_share:.1%}")
    return "; ".join(parts) or "scanner as it was"
