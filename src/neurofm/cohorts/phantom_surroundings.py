"""What lies around a simulated brain: skull, scalp, eyes, sinuses, neck, roughly as T1 shows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from neurofm.cohorts.phantom_anatomy import Anatomy, grid_axes
from neurofm.cohorts.phantom_fields import random_field
from neurofm.cohorts.phantom_template import HEAD_BOX_MM, Map, template_head
from neurofm.seeds import random_stream

Array = npt.NDArray[np.float32]
Triple = tuple[float, float, float]

_GRID_MM = 2.0
_SCALP_MM = 13.0
# From the brain's surface outwards: fluid and dura, two tables of bone with marrow between.
_LAYERS_MM = (0.0, 1.2, 1.8, 3.0, 3.8, 5.2, 6.0, 7.2)
_LAYERS = (0.24, 0.24, 0.06, 0.06, 0.34, 0.34, 0.06, 0.06)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """T1 intensity around a brain, white matter = 1, on an upright grid in head mm."""

    intensity: Array
    origin_mm: Triple
    spacing_mm: float


def surround(anatomy: Anatomy) -> Surroundings:
    """Skull and soft parts that fit a brain: bent with it, the skull as thick as the person's."""
    axes = grid_axes(HEAD_BOX_MM, anatomy.warp.scale, _GRID_MM)
    places = anatomy.warp.template_places(axes)
    outside = template_head().outside_mm.at(places) / np.float32(anatomy.traits.skull_thickness)
    layers = np.interp(outside, _LAYERS_MM, _LAYERS).astype(np.float32)
    soft = _soft_parts().at(places)
    intensity = np.where(outside < _LAYERS_MM[-1], layers, soft).astype(np.float32)
    x, y, z = (float(axis[0]) for axis in axes)
    return Surroundings(intensity, (x, y, z), _GRID_MM)


@lru_cache(maxsize=1)
def _soft_parts() -> Map:
    """Scalp, face and neck of the average head, painted from the outside in."""
    outside = template_head().outside_mm
    places = _places()
    x, y, z = places
    face = _ellipsoid(places, (0, 34, -62), (66, 62, 78))
    neck = np.where(z < -35, (np.hypot(x / 60, (y + 28) / 58) - 1) * 58, np.float32(99))
    hull = np.minimum(np.minimum(outside.array - _SCALP_MM, face), neck)
    axes = (places[0][:, 0, 0], places[1][0, :, 0], places[2][0, 0, :])
    mottled = random_field(random_stream("phantom", "soft parts"), 1, HEAD_BOX_MM, 9.0, 1.0)
    pattern = mottled.at(axes)[0]
    image = np.where(pattern > 0.8, 0.75, np.where(pattern < -1.0, 0.12, 0.42))
    image[hull > -6] = 0.95
    image[hull > -2] = 0.5
    for side in (-1, 1):
        image[_ellipsoid(places, (side * 33, 64, -38), (19, 19, 17)) < 0] = 0.8
        image[_ellipsoid(places, (side * 33, 68, -38), (12, 12, 12)) < 0] = 0.16
        image[_ellipsoid(places, (side * 48, -30, -48), (13, 16, 16)) < 0] = 0.1
        image[_ellipsoid(places, (side * 28, 60, -68), (13, 17, 14)) < 0] = 0.03
    for centre, radii in (((0, 62, -62), (12, 30, 20)), ((0, 26, -40), (11, 13, 9))):
        image[_ellipsoid(places, centre, radii) < 0] = 0.03
    throat = (np.hypot(x / 13, (y - 12) / 8) < 1) & (z < -60)
    image[throat] = 0.03
    from_cord = np.hypot(x, y + 48)
    spine = z < -66
    for radius, value in ((20.0, 0.5), (11.0, 0.22), (6.0, 0.9)):
        image[spine & (from_cord < radius)] = value
    image[hull > 0] = 0.0
    return Map(image.astype(np.float32), outside.origin_mm, outside.spacing_mm)


def _ellipsoid(places: Array, centre: Triple, radii: Triple) -> Array:
    """Roughly the signed distance (mm) from an ellipsoid's surface."""
    offsets = [(p - c) / r for p, c, r in zip(places, centre, radii, strict=True)]
    length = np.sqrt(sum(offset**2 for offset in offsets))
    return np.asarray((length - 1) * min(radii), np.float32)


def _places() -> Array:
    axes = grid_axes(HEAD_BOX_MM, (1.0, 1.0, 1.0), _GRID_MM)
    return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
