"""Arithmetic of the encoder: operations of one view, counted from the shapes of its layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from neurofm.config.encoders import ResNetConfig

Grid = tuple[int, int, int]

_STEM_KERNEL, _BLOCKS_A_STAGE = 7, 2


@dataclass(frozen=True)
class Convolution:
    """One convolution of the encoder.

    Attributes:
        name: as in the weights.
        channels_in: of its input.
        channels_out: of its output.
        kernel: voxels along each axis.
        grid: voxels of its output (z, y, x).
    """

    name: str
    channels_in: int
    channels_out: int
    kernel: int
    grid: Grid

    @property
    def flops(self) -> int:
        """Of a forward pass of one view; a multiplication and an addition count as two."""
        weights = self.channels_in * self.channels_out * self.kernel**3
        return 2 * weights * math.prod(self.grid)


@dataclass(frozen=True)
class ViewFlops:
    """Floating-point operations for one view of one scan.

    Attributes:
        stem: the layer that takes the images, forward.
        blocks: all other layers, forward.
    """

    stem: int
    blocks: int

    @property
    def step(self) -> int:
        """Forward and backward, nothing computed twice.

        Backward costs a forward each for the gradients of inputs and of weights; the images need
        no gradient, so the stem has only the second.
        """
        return 2 * self.stem + 3 * self.blocks


def view_flops(config: ResNetConfig, grid: Grid) -> ViewFlops:
    """Count a view's operations; norms, pooling and the projector add less than 1 % at 1 mm.

    At 150x192x192 with the default encoder 1,335 GFLOP forward and 3,762 GFLOP in a step.

    Args:
        config: widths and the stem's stride.
        grid: voxels of the volume (z, y, x).
    """
    stem, *others = convolutions(config, grid)
    return ViewFlops(stem.flops, sum(each.flops for each in others))


def convolutions(config: ResNetConfig, grid: Grid) -> list[Convolution]:
    """Every convolution of the encoder in its order, the stem first."""
    stem_grid = _strided(grid, config.stem_stride)
    stem = Convolution("conv1", 1, config.widths[0], _STEM_KERNEL, stem_grid)
    found, place, channels = [stem], _strided(stem_grid, 2), config.widths[0]  # max pool
    for stage, width in enumerate(config.widths, start=1):
        place = place if stage == 1 else _strided(place, 2)
        found += _stage(f"layer{stage}", channels, width, place, strided=stage > 1)
        channels = width
    return found


def _stage(
    name: str, channels: int, width: int, grid: Grid, *, strided: bool
) -> Iterator[Convolution]:
    for block in range(_BLOCKS_A_STAGE):
        first = channels if block == 0 else width
        yield Convolution(f"{name}.{block}.conv1", first, width, 3, grid)
        yield Convolution(f"{name}.{block}.conv2", width, width, 3, grid)
        if block == 0 and (strided or channels != width):
            yield Convolution(f"{name}.0.downsample.0", channels, width, 1, grid)


def _strided(grid: Grid, stride: int) -> Grid:
    """The grid after a layer whose padding is half its kernel."""
    z, y, x = ((size - 1) // stride + 1 for size in grid)
    return z, y, x
