"""N4: the smooth field that, divided out, makes the histogram of a scan sharpest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# The settings of Tustison et al. 2010, as ITK and ANTs have them.
_KNOT_DISTANCES_MM = (200.0, 100.0, 50.0, 25.0)
_MAX_ROUNDS = 50
_HISTOGRAM_BINS = 200
_FIELD_FWHM = 0.15
_WIENER_NOISE = 0.01
# A level ends when the field changes by less than this (coefficient of variation).
_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class SplineField:
    """A smooth function on a box: the sum of cubic B-spline lattices, finer and finer.

    Attributes:
        lattices: control points (x, y, z) of each level.
        knots_mm: distance of each level's knots.
    """

    lattices: tuple[Floats, ...]
    knots_mm: tuple[float, ...]

    def at(self, x_mm: Floats, y_mm: Floats, z_mm: Floats) -> Floats:
        """Values on the grid of places along the three axes, in mm inside the box."""
        total = np.zeros((len(x_mm), len(y_mm), len(z_mm)))
        for lattice, knot in zip(self.lattices, self.knots_mm, strict=True):
            bases = [
                _cubic_basis(places, knot, count)
                for places, count in zip((x_mm, y_mm, z_mm), lattice.shape, strict=True)
            ]
            total += _contract(lattice, bases)
        return total


def fit_log_field(
    values: Floats,
    inside: npt.NDArray[np.bool_],
    axes_mm: tuple[Floats, Floats, Floats],
    box_mm: tuple[float, float, float],
) -> SplineField:
    """The logarithm of a scan's bias field by N4 (Tustison et al. 2010, IEEE TMI 29:1310).

    Each round takes the histogram of the corrected log intensities, deconvolves the blur a bias
    field would give it (Sled et al. 1998), and fits the difference to that sharper scan by
    B-splines. On a regular grid the fit's sums over voxels fall into three small matrix products.

    Args:
        values: (x, y, z) intensities, above zero inside.
        inside: (x, y, z) voxels that count.
        axes_mm: places of the voxels along each axis, inside the box.
        box_mm: lengths of the box, from 0, that the field is wanted in.
    """
    uncorrected = np.log(values[inside])
    field = np.zeros_like(uncorrected)
    lattices = []
    for knot_mm in _KNOT_DISTANCES_MM:
        level = _Level(inside, axes_mm, box_mm, knot_mm)
        for _ in range(_MAX_ROUNDS):
            corrected = uncorrected - field
            change = level.fit(corrected - sharpened(corrected))
            field += change
            ratio = np.exp(change)
            if ratio.std() < _TOLERANCE * ratio.mean():
                break
        lattices.append(level.lattice)
    return SplineField(tuple(lattices), _KNOT_DISTANCES_MM)


def sharpened(log_values: Floats) -> Floats:
    """Log intensities as they would be without the blur of their histogram by a bias field."""
    low, high = float(log_values.min()), float(log_values.max())
    if high - low < 1e-6:
        return log_values
    width = (high - low) / (_HISTOGRAM_BINS - 1)
    position = (log_values - low) / width
    below = np.minimum(position.astype(int), _HISTOGRAM_BINS - 2)
    share = position - below
    size = 1 << (2 * _HISTOGRAM_BINS - 1).bit_length()
    offset = (size - _HISTOGRAM_BINS) // 2
    counts = np.bincount(below + offset, 1 - share, size)
    counts += np.bincount(below + offset + 1, share, size)
    blur = np.fft.rfft(_gaussian(size, _FIELD_FWHM / width))
    sharp = np.fft.rfft(counts) * np.conj(blur) / (np.abs(blur) ** 2 + _WIENER_NOISE)
    true_counts = np.maximum(np.fft.irfft(sharp, size), 0)
    centres = low + (np.arange(size) - offset) * width
    weight = np.fft.irfft(np.fft.rfft(true_counts) * blur, size)
    moment = np.fft.irfft(np.fft.rfft(true_counts * centres) * blur, size)
    expected = np.where(weight > 1e-9 * weight.max(), moment / np.maximum(weight, 1e-300), centres)
    mapped = expected[offset : offset + _HISTOGRAM_BINS]
    return np.asarray(mapped[below] * (1 - share) + mapped[below + 1] * share)


class _Level:
    """The B-spline lattice of one knot distance, and the fit of residuals to it."""

    def __init__(
        self,
        inside: npt.NDArray[np.bool_],
        axes_mm: tuple[Floats, Floats, Floats],
        box_mm: tuple[float, float, float],
        knot_mm: float,
    ) -> None:
        spans = [max(1, int(np.ceil(length / knot_mm - 1e-9))) for length in box_mm]
        self._inside = inside
        self._bases = [
            _cubic_basis(places, knot_mm, count + 3)
            for places, count in zip(axes_mm, spans, strict=True)
        ]
        squares = [(basis**2).sum(axis=1) for basis in self._bases]
        self._norm = np.einsum("x,y,z->xyz", *squares)
        counted = [(basis**2).T for basis in self._bases]
        self._weight = _contract(inside.astype(float), counted)
        self.lattice = np.zeros([count + 3 for count in spans])

    def fit(self, residual: Floats) -> Floats:
        """Add the smooth part of a residual to the lattice; returns that part, inside.

        The control points are those of Lee et al. 1997 (IEEE TVCG 3:228), equations 3 to 5.
        """
        spread = np.zeros(self._inside.shape)
        spread[self._inside] = residual
        sums = _contract(spread / self._norm, [(basis**3).T for basis in self._bases])
        control = np.where(self._weight > 1e-12, sums / np.maximum(self._weight, 1e-12), 0)
        self.lattice = self.lattice + control
        return np.asarray(_contract(control, self._bases)[self._inside])


def _contract(array: Floats, matrices: list[Floats]) -> Floats:
    """Apply one (out, in) matrix along each axis."""
    along_z = np.tensordot(array, matrices[2], axes=(2, 1))
    along_y = np.tensordot(along_z, matrices[1], axes=(1, 1)).transpose(0, 2, 1)
    return np.asarray(np.tensordot(matrices[0], along_y, axes=(1, 0)), dtype=np.float64)


def _cubic_basis(places_mm: Floats, knot_mm: float, count: int) -> Floats:
    """(places, control points) values of the uniform cubic B-splines; each row sums to one."""
    position = places_mm / knot_mm
    span = np.clip(np.floor(position).astype(int), 0, count - 4)
    t = position - span
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    basis = np.zeros((len(position), count))
    for step, weight in enumerate(weights):
        basis[np.arange(len(position)), span + step] = weight
    return basis


def _gaussian(size: int, fwhm_bins: float) -> Floats:
    """A unit-sum Gaussian on a ring of `size` bins, its centre at bin 0."""
    distance = np.minimum(np.arange(size), size - np.arange(size))
    bell = np.exp(-4 * np.log(2) * (distance / fwhm_bins) ** 2)
    return np.asarray(bell / bell.sum())
