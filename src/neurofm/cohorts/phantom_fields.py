"""Smooth random fields: cubic B-splines on a lattice that no voxel size can change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Axes = tuple[Array, Array, Array]


@dataclass(frozen=True, eq=False)
class SplineField:
    """A smooth function of place, given by weights on a regular lattice.

    Attributes:
        weights: (fields, x, y, z) B-spline weights.
        origin_mm: place of the first lattice point.
        spacing_mm: distance of the lattice points.
    """

    weights: Array
    origin_mm: tuple[float, float, float]
    spacing_mm: float

    def at(self, axes: Axes) -> Array:
        """Values (fields, x, y, z) at every combination of places along three axes, in mm."""
        values = self.weights
        for axis in range(3):
            values = self._along(values, axis, axes[axis])
        return values

    def _along(self, values: Array, axis: int, places_mm: Array) -> Array:
        position = (places_mm - self.origin_mm[axis]) / self.spacing_mm
        below = np.floor(position)
        last = values.shape[axis + 1] - 1
        shape = [1, 1, 1, 1]
        shape[axis + 1] = -1
        taps = zip(range(-1, 3), _cubic_taps(position - below), strict=True)
        total: Array | None = None
        # Summed tap by tap, not by matrix product, so that every machine adds in the same order.
        for offset, weight in taps:
            index = np.clip(below + offset, 0, last).astype(np.intp)
            part = values.take(index, axis=axis + 1) * weight.reshape(shape)
            total = part if total is None else total + part
        assert total is not None
        return total


def random_field(
    stream: np.random.Generator,
    fields: int,
    box_mm: tuple[tuple[float, float], ...],
    spacing_mm: float,
    deviation: float,
) -> SplineField:
    """Independent smooth fields over a box, of mean 0 and about the given standard deviation.

    Args:
        stream: where the numbers come from; equal streams give equal fields.
        fields: how many.
        box_mm: first and last place along x, y and z.
        spacing_mm: lattice spacing; features are about twice as wide.
        deviation: standard deviation of the values.
    """
    shape = [int(np.ceil((high - low) / spacing_mm)) + 3 for low, high in box_mm]
    noise = stream.standard_normal((fields, *shape)).astype(np.float32)
    # A cubic B-spline over white weights of variance 1 has variance (151/315)^3 on average.
    weights = noise * np.float32(deviation / (151 / 315) ** 1.5)
    x, y, z = (low - spacing_mm for low, _ in box_mm)
    return SplineField(weights, (x, y, z), spacing_mm)


def _cubic_taps(fraction: Array) -> list[Array]:
    rest = 1 - fraction
    taps = (
        rest**3 / 6,
        (4 - 6 * fraction**2 + 3 * fraction**3) / 6,
        (4 - 6 * rest**2 + 3 * rest**3) / 6,
        fraction**3 / 6,
    )
    return [tap.astype(np.float32) for tap in taps]
