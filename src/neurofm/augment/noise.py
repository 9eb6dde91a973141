"""Gaussian noise in every voxel of a finished view: drawn as a seed, made where it is needed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Volume = Float[Tensor, "1 1 depth height width"]


@dataclass(frozen=True)
class NoiseDraw:
    """Noise that is added to a view.

    Attributes:
        std: its standard deviation, in those of the brain.
        seed: of each voxel's number.
    """

    std: float
    seed: int


def draw_noise(
    stream: np.random.Generator, probability: float, largest_std: float
) -> NoiseDraw | None:
    """Draw noise, or None for none; its strength is uniform from 0 (MONAI's default).

    Args:
        stream: at the start of its own stream.
        probability: chance of noise.
        largest_std: largest standard deviation.
    """
    happens = stream.random() < probability
    std, seed = float(stream.uniform(0, largest_std)), int(stream.integers(2**62))
    return NoiseDraw(std, seed) if happens and std else None


def add_noise_(
    image: Volume, mask: Bool[Tensor, "1 1 depth height width"] | None, draw: NoiseDraw
) -> Volume:
    """Add noise in place: everywhere, or inside a mask only.

    Args:
        image: one view.
        mask: where noise is wanted; None for everywhere.
        draw: strength and seed.
    """
    field = fill_with_noise(torch.empty_like(image), draw.seed)
    if mask is not None:
        field.mul_(mask)
    return image.add_(field, alpha=draw.std)


def fill_with_noise(memory: Tensor, seed: int) -> Tensor:
    """Standard normal numbers, a function of seed, shape and kind of device.

    On a CPU they are the same bit for bit whatever the threads: torch makes them one after another.
    """
    return memory.normal_(generator=torch.Generator(memory.device).manual_seed(seed))
