"""Patches of a volume: cut apart, put together again, and where each of them lies."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from neurofm.config.encoders import ViTConfig
from neurofm.errors import ConfigError

Grid = tuple[int, int, int]
_SLOWEST = 10_000.0  # wavelength of the slowest wave, in patches over 2 pi (Vaswani et al. 2017)


def token_grid(config: ViTConfig, shape: Grid) -> Grid:
    """Patches along each axis (z, y, x) of a volume.

    Args:
        config: the patch's sides.
        shape: voxels of the volume (z, y, x).

    Raises:
        ConfigError: a side does not divide the volume; names the nearest that do.
    """
    counts = []
    for axis, side, size in zip("zyx", config.patch_voxels, shape, strict=True):
        if size % side:
            raise ConfigError(
                f"a side of {side} voxels does not divide the {size} voxels along {axis}",
                f"the nearest that do are {_nearest_divisors(size, side)}",
                "encoder.patch_voxels",
            )
        counts.append(size // side)
    return counts[0], counts[1], counts[2]


def patchify(
    images: Shaped[Tensor, "batch 1 depth height width"], sides: Grid
) -> Shaped[Tensor, "batch patches voxels"]:
    """Cut volumes into patches that do not overlap, patches and voxels in z, y, x order.

    Args:
        images: volumes whose axes the sides divide, or masks of them.
        sides: of a patch (z, y, x).
    """
    batch, _, *shape = images.shape
    (a, b, c), (z, y, x) = sides, (size // side for size, side in zip(shape, sides, strict=True))
    split = images.reshape(batch, z, a, y, b, x, c)
    return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, z * y * x, a * b * c)


def unpatchify(
    patches: Shaped[Tensor, "batch patches voxels"], sides: Grid, grid: Grid
) -> Shaped[Tensor, "batch 1 depth height width"]:
    """Put the patches of `patchify` together again, voxel by voxel.

    Args:
        patches: in z, y, x order.
        sides: of a patch (z, y, x).
        grid: patches along each axis (z, y, x).
    """
    (a, b, c), (z, y, x) = sides, grid
    split = patches.reshape(len(patches), z, y, x, a, b, c).permute(0, 1, 4, 2, 5, 3, 6)
    return split.reshape(len(patches), 1, z * a, y * b, x * c)


def sinusoidal_positions(width: int, grid: Grid, trained: Grid) -> Float[Tensor, "patches width"]:
    """Fixed positions: for each axis sines and cosines of the patch's place along it.

    A third of the width, rounded down to an even number, belongs to each of z, y and x; what is
    left over stays 0 (of 1024, four features). The wavelengths of an axis run from 2 pi to almost
    10,000 times that, in patches of the grid that was trained on: on another grid over the same
    volume, the places of its patches are those they have on the trained one.

    Args:
        width: of a token, at least 6.
        grid: patches along each axis (z, y, x).
        trained: patches along each axis when the model was trained.
    """
    waves = width // 6
    frequencies = _SLOWEST ** -(torch.arange(waves, dtype=torch.float64) / waves)
    table = torch.zeros(*grid, width, dtype=torch.float64)
    for axis, (count, before) in enumerate(zip(grid, trained, strict=True)):
        places = (torch.arange(count, dtype=torch.float64) + 0.5) * before / count - 0.5
        angles = places[:, None] * frequencies
        along = torch.cat([angles.sin(), angles.cos()], dim=1)
        shape = [count if each == axis else 1 for each in range(3)]
        start = 2 * waves * axis
        table[..., start : start + 2 * waves] = along.reshape(*shape, 2 * waves)
    return table.reshape(math.prod(grid), width).float()


def _nearest_divisors(size: int, side: int) -> str:
    """The largest divisor below and the smallest above."""
    divisors = [each for each in range(1, size + 1) if size % each == 0]
    below = [each for each in divisors if each < side]
    above = [each for each in divisors if each > side]
    return " and ".join(str(each) for each in [*below[-1:], *above[:1]])
