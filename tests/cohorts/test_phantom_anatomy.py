"""Simulated brains age, shrink, differ and are injured the way their labels say."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest

from neurofm.cohorts.phantom_anatomy import TEMPLATE_HEAD_ML, Anatomy, simulate_anatomy
from neurofm.cohorts.phantom_people import Diagnosis, Person, Sex
from neurofm.cohorts.phantom_template import template_head
from neurofm.cohorts.phantom_traits import draw_traits

SPACING_MM = 4.0


@lru_cache(maxsize=16)
def brain(
    number: int = 1,
    age_years: float = 50.0,
    diagnosis: Diagnosis = "H",
    nihss: int | None = None,
    spacing_mm: float = SPACING_MM,
) -> Anatomy:
    person = Person(number, (age_years,), "F", diagnosis, 0, nihss)
    return simulate_anatomy(0, person, age_years, spacing_mm)


def millilitres(anatomy: Anatomy, part: str) -> float:
    return float(vars(anatomy)[part].sum()) * anatomy.spacing_mm**3 / 1000


def test_the_average_hull_has_the_volume_sizes_are_relative_to():
    outside = template_head().outside_mm
    volume_ml = (outside.array < 0).sum() * outside.spacing_mm**3 / 1000
    assert volume_ml == pytest.approx(TEMPLATE_HEAD_ML, rel=0.01)


@pytest.mark.parametrize("number", [1, 2])
def test_fluid_grows_and_tissue_shrinks_with_age_in_an_unchanged_hull(number):
    ages = [brain(number, age) for age in (22.0, 40.0, 60.0, 83.0)]
    for part in ("fluid", "ventricles"):
        volumes = [millilitres(anatomy, part) for anatomy in ages]
        assert all(a < b for a, b in pairwise(volumes))
    grey = [millilitres(anatomy, "grey") for anatomy in ages]
    assert all(a > b for a, b in pairwise(grey))
    assert all(np.array_equal(anatomy.brain, ages[0].brain) for anatomy in ages)


def test_two_years_make_more_fluid_too():
    assert millilitres(brain(1, 52.0), "fluid") > millilitres(brain(1, 50.0), "fluid")


def test_shares_are_shares_and_sum_to_the_brain():
    anatomy = brain(3, 60.0, "S", 12)
    parts = (anatomy.grey, anatomy.white, anatomy.fluid, anatomy.lesion)
    np.testing.assert_allclose(sum(parts), anatomy.brain, atol=1e-5)
    assert all(part.min() >= -1e-6 and part.max() <= 1 + 1e-6 for part in parts)


def test_a_healthy_brain_has_human_volumes():
    young = brain(1, 25.0)
    assert 450 < millilitres(young, "grey") < 1000
    assert 350 < millilitres(young, "white") < 700
    assert 8 < millilitres(young, "ventricles") < 45


def test_the_volumes_hardly_depend_on_the_spacing():
    for part in ("brain", "grey", "white", "fluid"):
        coarse, fine = (millilitres(brain(1, 50.0, spacing_mm=s), part) for s in (4.0, 2.0))
        assert coarse == pytest.approx(fine, rel=0.03)


def test_alzheimers_disease_empties_the_medial_temporal_lobe():
    healthy, mild, severe = (brain(1, 70.0, diagnosis) for diagnosis in ("H", "MCI", "AD"))
    x, y, z = (
        int((place - origin) / SPACING_MM)
        for place, origin in zip((26, -18, -18), healthy.origin_mm, strict=True)
    )
    around = np.s_[x - 3 : x + 4, y - 3 : y + 4, z - 3 : z + 4]
    grey = [anatomy.grey[around].sum() for anatomy in (healthy, mild, severe)]
    assert grey[0] > grey[1] > grey[2]
    # More is lost here than elsewhere.
    assert grey[2] / grey[0] < 0.95 * severe.grey.sum() / healthy.grey.sum()


def test_a_lesion_has_the_volume_its_stroke_scale_asks_for():
    volumes = []
    for nihss in (0, 6, 20, 42):
        anatomy = brain(1, 60.0, "S", nihss)
        volumes.append(millilitres(anatomy, "lesion"))
        assert volumes[-1] == pytest.approx(anatomy.traits.lesion_ml, rel=0.2, abs=1.0)
    assert all(a < b for a, b in pairwise(volumes))
    assert millilitres(brain(1, 60.0), "lesion") == 0


def test_a_lesion_stays_in_one_hemisphere():
    lesion = brain(2, 60.0, "S", 10).lesion
    middle = int(-brain(2, 60.0, "S", 10).origin_mm[0] / SPACING_MM)
    halves = lesion[:middle].sum(), lesion[middle + 1 :].sum()
    assert min(halves) < 0.1 * max(halves)


def test_men_have_larger_heads_with_overlap():
    def log_sizes(sex: Sex) -> np.ndarray:
        people = (Person(number, (50.0,), sex, "H", 0, None) for number in range(400))
        return np.log([draw_traits(0, person, 50.0).head_ml for person in people])

    women, men = log_sizes("F"), log_sizes("M")
    assert 0.09 < men.mean() - women.mean() < 0.13
    assert 0.055 < women.std() < 0.085
    assert np.mean(men[: len(women)] < np.percentile(women, 95)) > 0.2


def test_people_differ_in_more_than_size():
    first, second = brain(1).grey, brain(2).grey
    shape = np.minimum(first.shape, second.shape)
    window = tuple(slice(0, size) for size in shape)
    assert np.corrcoef(first[window].ravel(), second[window].ravel())[0, 1] < 0.85
