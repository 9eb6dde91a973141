"""The random numbers of one view: drawn from named streams, before any voxel is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from neurofm.augment.affine import AffineDraw, draw_affine
from neurofm.augment.crops import are_limited, draw_crops, smallest_crop
from neurofm.augment.noise import NoiseDraw, draw_noise
from neurofm.augment.scanner import ScannerDraw, draw_scanner
from neurofm.config.learning import ViewsConfig
from neurofm.seeds import random_stream, seed_of


@dataclass(frozen=True)
class ViewDraw:
    """What happens to a volume on its way to a view.

    Attributes:
        crop_start: first voxel of the crop (z, y, x).
        crop_size: voxels of the crop (z, y, x).
        flip: left and right change places.
        rotation_radians: in-plane angle about the first axis, or None for no rotation.
        shift: added to every intensity; 0 for no shift.
        gamma: contrast exponent, or None for no change of contrast.
        scanner: what happens to the crop's voxels before all else, or None for nothing.
        affine: turn, scaling and move of the resized crop, or None for none.
        noise: added to the finished view, or None for none.
        zscore_first: the scan is z-scored before all else, and nothing is masked afterwards.
    """

    crop_start: tuple[int, int, int]
    crop_size: tuple[int, int, int]
    flip: bool
    rotation_radians: float | None
    shift: float
    gamma: float | None
    scanner: ScannerDraw | None = None
    affine: AffineDraw | None = None
    noise: NoiseDraw | None = None
    zscore_first: bool = False


@dataclass(frozen=True)
class ViewKey:
    """What a view's random numbers are a function of.

    Attributes:
        seed: the recipe's.
        epoch: from 0.
        item: participant key.
        view: 0 or 1.
        attempt: 0, and one more each time a view turned out to be unusable.
    """

    seed: int
    epoch: int
    item: str
    view: int
    attempt: int = 0


def draw_for(
    key: ViewKey, config: ViewsConfig, shape: tuple[int, int, int], spacing_mm: float
) -> ViewDraw:
    """Everything that is drawn for one view under a recipe.

    Without limits of the crops, scanner augmentation, affine map and noise it is `draw_view` on the
    stream of the key; each of these has a stream of its own. With limits, the two views of an
    attempt are cropped as one pair (`draw_crops`); a view drawn again because its voxels are
    unusable is of another pair than a view that was not.

    Args:
        key: what the draw is for.
        config: probabilities, ranges and limits.
        shape: voxels of the volume (z, y, x).
        spacing_mm: its voxel size.
    """
    if config.distinct_draws:
        key = _one_of(config.distinct_draws, key)
    draw = draw_view(_stream("view", key), config, shape, spacing_mm)
    if are_limited(config):
        pair, place = divmod(key.view, 2)
        stream = random_stream("crops", key.seed, key.epoch, key.item, pair, key.attempt)
        crop = draw_crops(stream, config, shape, spacing_mm)[place]
        draw = replace(draw, crop_start=crop.start, crop_size=crop.size)
    if config.scanner.is_used:
        scanner = draw_scanner(_stream("scanner", key), config.scanner, spacing_mm)
        draw = replace(draw, scanner=scanner)
    if config.affine.probability:
        affine = draw_affine(_stream("affine", key), config.affine, spacing_mm)
        draw = replace(draw, affine=affine)
    if config.noise_probability:
        noise = draw_noise(_stream("noise", key), config.noise_probability, config.noise_std)
        draw = replace(draw, noise=noise)
    return replace(draw, zscore_first=config.zscore == "before")


def draw_view(
    stream: np.random.Generator,
    config: ViewsConfig,
    shape: tuple[int, int, int],
    spacing_mm: float,
) -> ViewDraw:
    """Draw one view as the paper does (section 4.2): crop, flip, rotation, shift, contrast.

    Each axis's crop size is uniform between the smallest and the full size, its place uniform
    among those that fit. Every number is drawn whether it is used or not, so that changing one
    probability leaves all other draws as they were.

    Args:
        stream: at the start of the view's stream.
        config: probabilities and ranges; `min_crop_mm` is rounded to whole voxels.
        shape: voxels of the volume (z, y, x).
        spacing_mm: its voxel size.
    """
    size = stream.integers(smallest_crop(config, shape, spacing_mm), shape, endpoint=True)
    start = stream.integers(0, np.subtract(shape, size), endpoint=True)
    flip = stream.random() < config.flip_probability
    rotates = stream.random() < config.rotation_probability
    angle = stream.uniform(-config.rotation_radians, config.rotation_radians)
    shifts = stream.random() < config.intensity_shift_probability
    shift = stream.uniform(-config.intensity_shift, config.intensity_shift)
    contrasts = stream.random() < config.gamma_probability
    gamma = stream.uniform(*config.gamma_range)
    return ViewDraw(
        crop_start=(int(start[0]), int(start[1]), int(start[2])),
        crop_size=(int(size[0]), int(size[1]), int(size[2])),
        flip=bool(flip),
        rotation_radians=float(angle) if rotates else None,
        shift=float(shift) if shifts else 0.0,
        gamma=float(gamma) if contrasts else None,
    )


def _stream(name: str, key: ViewKey) -> np.random.Generator:
    return random_stream(name, key.seed, key.epoch, key.item, key.view, key.attempt)


def _one_of(draws: int, key: ViewKey) -> ViewKey:
    """The key of one of a fixed number of draws, chosen anew for each participant and epoch."""
    number = seed_of("which draw", key.seed, key.epoch, key.item) % draws
    return replace(key, epoch=0, item=f"draw {number}")
