"""Phantom volumes and MONAI's own chain, the reference for every view."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from neurofm.augment.draws import ViewDraw
from neurofm.config.affine import AffineConfig
from neurofm.config.learning import ViewsConfig
from neurofm.data.prepare import zscore_in_mask

# The paper's supervised views.
SUPERVISED = ViewsConfig(
    min_crop_mm=(90.0, 115.0, 115.0),
    rotation_probability=0.0,
    intensity_shift=0.1,
    intensity_shift_probability=0.5,
    gamma_probability=0.0,
    affine=AffineConfig(probability=0.7),
    noise_probability=0.2,
    zscore="before",
)
ViewChain = Callable[[Tensor, Tensor, ViewDraw], tuple[Tensor, Tensor]]


def phantom(shape: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """A smooth bright ellipsoid with texture on a dark ground, with its mask; batch of one."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.sqrt(sum((a / r) ** 2 for a, r in zip(axes, (0.75, 0.8, 0.7), strict=True)))
    inside = radius < 1
    texture = 3 * np.cos(7 * axes[0] + 3 * axes[1]) + rng.normal(size=shape)
    image = np.where(inside, texture, -12.0).astype(np.float32)
    return torch.from_numpy(image)[None, None], torch.from_numpy(inside)[None, None]


@pytest.fixture(scope="session")
def small() -> tuple[Tensor, Tensor]:
    return phantom((25, 32, 32))


@pytest.fixture(scope="session")
def large() -> tuple[Tensor, Tensor]:
    return phantom((150, 192, 192))


@pytest.fixture(scope="session")
def supervised() -> ViewsConfig:
    return SUPERVISED


@pytest.fixture(scope="session")
def monai_chain() -> ViewChain:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised by MONAI while it is imported
        from monai.transforms import (
            AdjustContrast,
            Flip,
            RandAffine,
            Resize,
            Rotate,
            ShiftIntensity,
            SpatialCrop,
        )

    def geometry(volume: Tensor, draw: ViewDraw, resize: str, rotate: str) -> Tensor:
        full = volume.shape[1:]
        end = [a + n for a, n in zip(draw.crop_start, draw.crop_size, strict=True)]
        volume = SpatialCrop(roi_start=draw.crop_start, roi_end=end)(volume)
        volume = Resize(full, mode=resize)(volume)
        if draw.flip:
            volume = Flip(spatial_axis=2)(volume)
        if draw.rotation_radians is not None:
            angles = (draw.rotation_radians, 0.0, 0.0)
            volume = Rotate(angles, keep_size=True, mode=rotate, padding_mode="border")(volume)
        if draw.affine is not None:
            volume = RandAffine(
                prob=1.0,
                rotate_range=[(radians, radians) for radians in draw.affine.rotation_radians],
                translate_range=[(voxels, voxels) for voxels in draw.affine.translation_voxels],
                scale_range=[(scale - 1, scale - 1) for scale in draw.affine.scale],
                mode=rotate,
                padding_mode=draw.affine.padding,
            )(volume)
        return volume

    def chain(image: Tensor, mask: Tensor, draw: ViewDraw) -> tuple[Tensor, Tensor]:
        if draw.zscore_first:
            image = zscore_in_mask(image, mask)
        view = geometry(image[0], draw, "trilinear", "bilinear")
        view = ShiftIntensity(draw.shift)(view)
        if draw.gamma is not None:
            view = AdjustContrast(draw.gamma)(view)
        moved = geometry(mask[0].float(), draw, "nearest", "nearest")
        return torch.as_tensor(view)[None], torch.as_tensor(moved)[None] > 0.5

    return chain
