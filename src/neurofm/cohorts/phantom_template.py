"""The average head phantoms are bent from: tissue maps, distances and structures of MNI152."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.volumes.template import packaged_template

Array = npt.NDArray[np.float32]

# Around the brain, the face and the upper neck, mm in MNI152: x, y, z.
HEAD_BOX_MM = ((-98.0, 98.0), (-134.0, 112.0), (-124.0, 112.0))
BRAIN_BOX_MM = ((-80.0, 80.0), (-116.0, 82.0), (-80.0, 92.0))
_COARSE_MM = 2.0
# Left and right are mirror images; mm in MNI152, read off the template.
_TEMPORAL_HORN = ((32, -40, -2), (36, -28, -11), (35, -18, -18), (31, -11, -20), (27, -8, -21))
_HIPPOCAMPUS = ((29, -36, -4), (30, -27, -11), (28, -18, -19), (24, -10, -23))


@dataclass(frozen=True, eq=False)
class Map:
    """A scalar or vector map on a regular grid: array (..., x, y, z), origin and spacing in mm."""

    array: Array
    origin_mm: tuple[float, float, float]
    spacing_mm: float

    def at(self, places_mm: Array, order: int = 1) -> Array:
        """Interpolated values at places (3, ...), zero beyond the grid for order 1 maps."""
        origin = np.asarray(self.origin_mm, np.float32).reshape(3, *[1] * (places_mm.ndim - 1))
        index = (places_mm - origin) / np.float32(self.spacing_mm)
        if self.array.ndim == 3:
            return _interpolate(self.array, index, order)
        return np.stack([_interpolate(part, index, order) for part in self.array])


@dataclass(frozen=True, eq=False)
class TemplateHead:
    """Everything the average head offers.

    Attributes:
        grey, white: probability of the tissue, 1 mm.
        sulci: how dark the T1 is between the gyri, 0 to 1, 1 mm.
        texture: T1 minus what the tissues explain (white matter = 1), 1 mm.
        outside_mm: distance from the brain's surface, negative inside.
        from_ventricles_mm: distance from the ventricles' surface, negative inside.
        ventricle_push: unit-less direction and reach of a widening of the ventricles (3, ...).
        surface_pull: the same for a shrinking of the brain away from its hull (3, ...).
        from_horn_mm: distance from the temporal horns' axes.
        hippocampus: 1 on the hippocampus and amygdala, falling to 0 around.
    """

    grey: Map
    white: Map
    sulci: Map
    texture: Map
    outside_mm: Map
    from_ventricles_mm: Map
    ventricle_push: Map
    surface_pull: Map
    from_horn_mm: Map
    hippocampus: Map


@lru_cache(maxsize=1)
def template_head() -> TemplateHead:
    """Build the average head once a process, in about two seconds.

    Raises:
        MissingDependencyError: nilearn, which holds the template, is not installed.
    """
    t1, grey, white = (packaged_template(image) for image in ("t1", "gm", "wm"))
    origin = tuple(float(value) for value in t1.affine[:3, 3])

    def fine(array: npt.NDArray[np.generic]) -> Map:
        return Map(array.astype(np.float32), (origin[0], origin[1], origin[2]), 1.0)

    t1_array, grey_array, white_array = (np.asarray(v.array, np.float32) for v in (t1, grey, white))
    sulci = np.clip((0.615 - t1_array) / 0.3, 0, 1) * (t1_array > 0)
    outside = _outside(fine(t1_array > 0))
    ventricles = _from_ventricles(fine(1 - grey_array - white_array), outside)
    places = _places(outside)
    return TemplateHead(
        grey=fine(grey_array),
        white=fine(white_array),
        sulci=fine(sulci),
        texture=fine(_texture(t1_array, grey_array, white_array, sulci)),
        outside_mm=outside,
        from_ventricles_mm=ventricles,
        ventricle_push=_flow(ventricles, reach_mm=14.0, sign=1.0),
        surface_pull=_flow(outside, reach_mm=16.0, sign=-1.0),
        from_horn_mm=_like(outside, _from_curve(places, _TEMPORAL_HORN)),
        hippocampus=_like(
            outside, np.exp(-((_from_curve(places, _HIPPOCAMPUS) / 7.0) ** 4)).astype(np.float32)
        ),
    )


def _texture(t1: Array, grey: Array, white: Array, sulci: Array) -> Array:
    """Deep nuclei, brain stem and the like: what grey, white and fluid do not explain."""
    fluid = np.clip(1 - grey - white, 0, 1)
    explained = 0.65 * grey + 0.87 * white + 0.27 * fluid
    rest = (t1 - explained) / 0.87
    inside = ndimage.binary_erosion(t1 > 0, iterations=4)
    # Next to fluid the template's own blur would be counted twice.
    rest = np.clip(rest, -0.15, 0.15) * inside * (fluid < 0.1) * (sulci < 0.2)
    return np.asarray(ndimage.gaussian_filter(rest, 0.7), np.float32)


def _outside(brain: Map) -> Map:
    """Signed distance from a smoothed, hole-free brain mask on the coarse head grid."""
    coarse = brain.at(_places(_like_head())) > 0.5
    closed = ndimage.binary_closing(coarse, ndimage.generate_binary_structure(3, 1), iterations=3)
    closed = ndimage.binary_fill_holes(closed)
    return _like(_like_head(), ndimage.gaussian_filter(_signed_distance(closed), 1.0))


def _from_ventricles(fluid: Map, outside: Map) -> Map:
    """Signed distance from the lateral and third ventricles: deep, central fluid."""
    places = _places(outside)
    x, y, z = places
    central = (abs(x) < 40) & (y > -52) & (y < 36) & (z > -12) & (z < 34)
    found = (fluid.at(places) > 0.5) & central & (outside.array < -22)
    labels, _ = ndimage.label(found)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = np.isin(labels, np.flatnonzero(sizes > 40))
    return _like(outside, ndimage.gaussian_filter(_signed_distance(kept), 0.5))


def _flow(distance: Map, reach_mm: float, sign: float) -> Map:
    """Direction away from (sign 1) or towards (-1) a surface, fading inside the brain."""
    smooth = ndimage.gaussian_filter(distance.array, 1.0)
    gradient = np.stack(np.gradient(smooth, distance.spacing_mm))
    depth = np.abs(smooth)
    return _like(distance, (sign * gradient * np.exp(-depth / reach_mm)).astype(np.float32))


def _from_curve(places: Array, curve: Sequence[tuple[int, int, int]]) -> Array:
    """Distance (mm) from a polyline and its mirror image."""
    folded = np.stack([np.abs(places[0]), places[1], places[2]])
    nearest: Array | None = None
    for start, end in pairwise(curve):
        a = np.asarray(start, np.float32).reshape(3, 1, 1, 1)
        along = np.asarray(end, np.float32).reshape(3, 1, 1, 1) - a
        share = np.clip(((folded - a) * along).sum(0) / (along**2).sum(), 0, 1)
        distance = np.sqrt((((folded - a) - share * along) ** 2).sum(0))
        nearest = distance if nearest is None else np.minimum(nearest, distance)
    assert nearest is not None
    return nearest.astype(np.float32)


def _signed_distance(mask: npt.NDArray[np.bool_]) -> Array:
    outer = ndimage.distance_transform_edt(~mask)
    inner = ndimage.distance_transform_edt(mask)
    halved = np.where(mask, 0.5 - inner, outer - 0.5)
    return (halved * _COARSE_MM).astype(np.float32)


def _like_head() -> Map:
    shape = [round((high - low) / _COARSE_MM) + 1 for low, high in HEAD_BOX_MM]
    x, y, z = (low for low, _ in HEAD_BOX_MM)
    return Map(np.zeros(shape, np.float32), (x, y, z), _COARSE_MM)


def _like(grid: Map, array: Array) -> Map:
    return Map(array, grid.origin_mm, grid.spacing_mm)


def _places(grid: Map) -> Array:
    axes = [
        origin + grid.spacing_mm * np.arange(size, dtype=np.float32)
        for origin, size in zip(grid.origin_mm, grid.array.shape[-3:], strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)


def _interpolate(array: Array, index: Array, order: int) -> Array:
    values = ndimage.map_coordinates(array, index, order=order, mode="nearest", output=np.float32)
    return np.asarray(values, np.float32)
