"""Phantom brains as a store would hold them, for looking at views where there is no store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from neurofm.cohorts.phantom_anatomy import Anatomy, simulate_anatomy
from neurofm.cohorts.phantom_people import Person, draw_people
from neurofm.config import PhantomConfig
from neurofm.config.recipe import Recipe
from neurofm.data.batch import Batch
from neurofm.data.prepare import model_input
from neurofm.volumes.grids import template_grid
from neurofm.volumes.volume import Volume

_GREY, _FLUID, _TEXTURE = 0.75, 0.3, 0.5  # in units of white matter


def phantom_batch(recipe: Recipe, count: int) -> Batch:
    """Phantom brains on the model's grid, not by way of a scanner and preprocessing.

    Args:
        recipe: its seed, the spacing of its store, and whether a second scan is wanted: that is
            the same person some years later.
        count: how many people.

    Raises:
        MissingDependencyError: nilearn, which holds the template, is not installed.
    """
    people = draw_people(PhantomConfig(participants=count, repeat_fraction=1.0), recipe.seed)
    first = _session(recipe, people, 0)
    if recipe.views.positive == "same-scan":
        return first
    return replace(first, second=_session(recipe, people, 1))


def _session(recipe: Recipe, people: list[Person], session: int) -> Batch:
    spacing_mm = recipe.store.spacing_mm
    fine_mm = 2.0 if spacing_mm >= 2 else 1.0
    scans = []
    for person in people:
        age_years = person.ages_years[session]
        scans.append(_scan(simulate_anatomy(recipe.seed, person, age_years, fine_mm), spacing_mm))
    images, masks = (torch.cat(part) for part in zip(*scans, strict=True))
    rows = tuple(session * len(people) + place for place in range(len(people)))
    return Batch(images, masks, rows, tuple(f"phantom/{each.label}" for each in people), 0)


def _scan(anatomy: Anatomy, spacing_mm: float) -> tuple[Tensor, Tensor]:
    signal = anatomy.white + _GREY * anatomy.grey + _FLUID * (anatomy.fluid + anatomy.lesion)
    image = _on_template_grid(anatomy, signal + _TEXTURE * anatomy.texture)
    brain = _on_template_grid(anatomy, anatomy.brain)
    mask = Volume(np.asarray(brain.array, dtype=np.float32) > 0.5, brain.affine)
    return model_input(image, mask, spacing_mm)


def _on_template_grid(anatomy: Anatomy, array: npt.NDArray[np.float32]) -> Volume:
    grid = template_grid(anatomy.spacing_mm)
    offset = (grid.affine[:3, 3] - np.asarray(anatomy.origin_mm)) / anatomy.spacing_mm
    moved = ndimage.affine_transform(array, np.eye(3), offset, output_shape=grid.shape, order=1)
    return Volume(np.asarray(moved, dtype=np.float32), grid.affine)
