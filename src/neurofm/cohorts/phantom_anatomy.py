"""One simulated brain: the average head bent, aged and injured into a person's tissue maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofm.cohorts.phantom_fields import Axes, SplineField, random_field
from neurofm.cohorts.phantom_people import Person
from neurofm.cohorts.phantom_template import (
    BRAIN_BOX_MM,
    HEAD_BOX_MM,
    Map,
    TemplateHead,
    template_head,
)
from neurofm.cohorts.phantom_traits import Traits, draw_traits
from neurofm.seeds import random_stream

Array = npt.NDArray[np.float32]

# Volume inside the average head's hull, ml (measured by tests/cohorts/test_phantom_anatomy.py).
TEMPLATE_HEAD_ML = 1895.0
_WARP_LATTICE_MM = 4.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A person's brain at one age, on an upright grid in the head's own mm.

    Attributes:
        origin_mm, spacing_mm: place of voxel (0, 0, 0) and isotropic voxel size.
        brain, grey, white, fluid, lesion: share of each voxel, 0 to 1; brain is the others' sum.
        ventricles: the part of `fluid` that lies in the lateral and third ventricles.
        texture: T1 differences within a tissue, white matter = 1.
        traits: what it was built from.
        warp: head mm -> template mm of the person's hull, for what lies around the brain.
    """

    origin_mm: tuple[float, float, float]
    spacing_mm: float
    brain: Array
    grey: Array
    white: Array
    fluid: Array
    lesion: Array
    ventricles: Array
    texture: Array
    traits: Traits
    warp: Warp


@dataclass(frozen=True, eq=False)
class Warp:
    """Where each place of a head lies in the template: scaling, then a smooth displacement.

    Attributes:
        scale: template mm -> head mm for each axis.
        displacement_mm: three fields over template mm.
    """

    scale: tuple[float, float, float]
    displacement_mm: SplineField

    def template_places(self, axes: Axes) -> Array:
        """Template mm (3, x, y, z) of a head grid given by its three axes in head mm."""
        scaled = self.template_axes(axes)
        places = self.displacement_mm.at(scaled)
        for axis in range(3):
            shape = [1, 1, 1]
            shape[axis] = -1
            places[axis] += scaled[axis].reshape(shape)
        return places

    def template_axes(self, axes: Axes) -> Axes:
        """The axes in template mm before the displacement."""
        x, y, z = (axis / np.float32(s) for axis, s in zip(axes, self.scale, strict=True))
        return x, y, z


def simulate_anatomy(seed: int, person: Person, age_years: float, spacing_mm: float) -> Anatomy:
    """A participant's brain at an age; another age or spacing shows the same person.

    Raises:
        MissingDependencyError: nilearn, which holds the template, is not installed.
    """
    template = template_head()
    traits = draw_traits(seed, person, age_years)
    hull = _personal_warp(seed, person, traits)
    axes = grid_axes(BRAIN_BOX_MM, hull.scale, spacing_mm)
    outside_mm = template.outside_mm.at(hull.template_places(axes))
    inside = outside_mm < spacing_mm / 2
    brain = _soft_inside(outside_mm[inside], spacing_mm)
    places = _aged(hull, traits, template).template_places(axes)[:, inside]
    folds = _folds(seed, person, hull.template_axes(axes))[:, inside]
    grey, white, fluid = _tissues(traits, places, folds)
    stroke = random_stream("phantom", "lesion", seed, person.number)
    lesion = _lesion(stroke, traits, places, brain * (grey + white), spacing_mm**3 / 1000)
    kept = brain * (1 - lesion)
    near = 1 - _smooth_step(template.from_ventricles_mm.at(places), 2.0, 4.0)
    near = np.maximum(near, 1 - _smooth_step(template.from_horn_mm.at(places), 4.0, 6.0))

    def on_grid(values: Array) -> Array:
        grid = np.zeros(inside.shape, np.float32)
        grid[inside] = values
        return grid

    return Anatomy(
        origin_mm=(float(axes[0][0]), float(axes[1][0]), float(axes[2][0])),
        spacing_mm=spacing_mm,
        brain=on_grid(brain),
        grey=on_grid(kept * grey),
        white=on_grid(kept * white),
        fluid=on_grid(kept * fluid),
        lesion=on_grid(brain * lesion),
        ventricles=on_grid(kept * fluid * near),
        texture=on_grid(kept * template.texture.at(places)),
        traits=traits,
        warp=hull,
    )


def grid_axes(
    box_mm: tuple[tuple[float, float], ...], scale: tuple[float, float, float], spacing_mm: float
) -> Axes:
    """Axes, in head mm, of an upright grid over a template box of a head of this scale."""
    x, y, z = (
        np.arange(
            np.floor(low * s / spacing_mm), np.ceil(high * s / spacing_mm) + 1, dtype=np.float32
        )
        * np.float32(spacing_mm)
        for (low, high), s in zip(box_mm, scale, strict=True)
    )
    return x, y, z


def _personal_warp(seed: int, person: Person, traits: Traits) -> Warp:
    stream = random_stream("phantom", "shape", seed, person.number)
    broad = random_field(stream, 3, HEAD_BOX_MM, 40.0, 2.8)
    local = random_field(stream, 3, HEAD_BOX_MM, 16.0, 1.3)
    size = (traits.head_ml / TEMPLATE_HEAD_ML) ** (1 / 3)
    x, y, z = (size * factor for factor in traits.stretch)
    lattice = _lattice_axes()
    return Warp((x, y, z), _on_lattice(broad.at(lattice) + local.at(lattice)))


def _aged(hull: Warp, traits: Traits, template: TemplateHead) -> Warp:
    """Let the walls of the ventricles move out and the surface in; the hull stays."""
    lattice = _lattice_axes()
    shift = hull.displacement_mm.weights
    places = shift + np.stack(np.meshgrid(*lattice, indexing="ij"))
    # Tissue at a place came from nearer the ventricles, and from farther out at the surface.
    moved = (
        shift
        - np.float32(traits.ventricle_widening_mm) * template.ventricle_push.at(places)
        - np.float32(traits.surface_shrinkage_mm) * template.surface_pull.at(places)
    )
    return Warp(hull.scale, _on_lattice(moved))


def _folds(seed: int, person: Person, axes: Axes) -> Array:
    """Two fine random fields that give everybody sulci and gyri of their own."""
    stream = random_stream("phantom", "folds", seed, person.number)
    return random_field(stream, 2, HEAD_BOX_MM, 7.0, 0.55).at(axes)


def _tissues(traits: Traits, places: Array, folds: Array) -> tuple[Array, Array, Array]:
    """Shares of grey matter, white matter and fluid, summing to 1 everywhere."""
    template = template_head()
    grey, white = template.grey.at(places), template.white.at(places)
    sulci = template.sulci.at(places)
    loss = np.float32(traits.hippocampal_loss) * template.hippocampus.at(places)
    fluid = np.maximum(1 - grey - white, 0) + np.float32(0.75) * sulci + np.float32(0.25) * loss
    # Squares of probabilities sharpen the average of many people into one person.
    grey_odds = grey**2 * np.exp(folds[0] + np.float32(traits.grey_surplus) - loss)
    fluid_odds = fluid**2 * np.exp(folds[1] + np.float32(traits.sulcal_widening))
    white_odds = white**2
    total = grey_odds + fluid_odds + white_odds + np.float32(1e-6)
    radius = np.float32(traits.horn_radius_mm)
    solid = _smooth_step(template.from_horn_mm.at(places), radius - 1, radius + 1)
    grey, white = solid * grey_odds / total, solid * white_odds / total
    return grey, white, 1 - grey - white


def _lesion(
    stream: np.random.Generator, traits: Traits, places: Array, tissue: Array, voxel_ml: float
) -> Array:
    """A blob of the wanted volume of tissue in the middle cerebral artery's territory."""
    if traits.lesion_ml <= 0:
        return np.zeros_like(tissue)
    side = 1.0 if stream.random() < 0.5 else -1.0
    centre = stream.normal((side * 38, -12, 18), (6, 18, 10))
    ragged = random_field(stream, 1, HEAD_BOX_MM, 14.0, 5.0)
    offset = places - centre.astype(np.float32).reshape(3, 1)
    ground = np.sqrt((offset**2).sum(0)) + _at_places(ragged, places)
    ground = np.where(side * places[0] > 3, ground, np.float32(np.inf))
    order = np.argsort(ground, kind="stable")
    grown_ml = np.cumsum(tissue[order], dtype=np.float64) * voxel_ml
    last = min(int(np.searchsorted(grown_ml, traits.lesion_ml)), order.size - 1)
    edge = ground[order[last]]
    solid = tissue > 0.05
    return np.asarray((1 - _smooth_step(ground, edge - 1.5, edge + 1.5)) * solid, np.float32)


def _at_places(field: SplineField, places: Array) -> Array:
    """The field on its own coarse grid, interpolated at scattered places."""
    lattice = _lattice_axes()
    origin = (float(lattice[0][0]), float(lattice[1][0]), float(lattice[2][0]))
    return Map(field.at(lattice)[0], origin, _WARP_LATTICE_MM).at(places)


def _lattice_axes() -> Axes:
    return grid_axes(HEAD_BOX_MM, (1.0, 1.0, 1.0), _WARP_LATTICE_MM)


def _on_lattice(values: Array) -> SplineField:
    x, y, z = (float(axis[0]) for axis in _lattice_axes())
    return SplineField(values, (x, y, z), _WARP_LATTICE_MM)


def _soft_inside(outside_mm: Array, spacing_mm: float) -> Array:
    return 1 - _smooth_step(outside_mm, -spacing_mm / 2, spacing_mm / 2)


def _smooth_step(values: Array, low: float | np.float32, high: float | np.float32) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
