"""The people of a phantom cohort are balanced over sites and do not depend on its size."""

import numpy as np
import pytest

from neurofm.cohorts.phantom_people import Person, draw_people
from neurofm.config import PhantomConfig, check_section
from neurofm.errors import ConfigError


def people_of(count: int, **knobs: float) -> list[Person]:
    return draw_people(PhantomConfig.model_validate({"participants": count} | knobs), seed=3)


def test_a_small_cohort_is_the_beginning_of_a_large_one():
    assert people_of(10) == people_of(25)[:10]


def test_another_seed_gives_other_people():
    config = PhantomConfig(participants=10)
    assert draw_people(config, 0) != draw_people(config, 1)


def test_every_six_participants_hold_each_sex_at_each_of_three_sites_once():
    for start in range(0, 60, 6):
        cells = {(person.sex, person.site) for person in people_of(60)[start : start + 6]}
        assert len(cells) == 6


def test_no_site_or_sex_stands_for_an_age():
    people = [person for person in people_of(120) if person.diagnosis == "H"]
    mean = np.mean([person.ages_years[0] for person in people])
    for site in range(3):
        ages = [person.ages_years[0] for person in people if person.site == site]
        assert abs(np.mean(ages) - mean) < 4
    for sex in "FM":
        ages = [person.ages_years[0] for person in people if person.sex == sex]
        assert abs(np.mean(ages) - mean) < 4


def test_every_site_sees_every_diagnosis_equally_often():
    people = people_of(180)
    for diagnosis, share in (("AD", 0.1), ("MCI", 0.1), ("S", 0.1), ("H", 0.7)):
        for site in range(3):
            count = sum(p.diagnosis == diagnosis and p.site == site for p in people)
            assert abs(count - 60 * share) <= 3


def test_ages_stay_in_range_and_patients_are_older():
    people = people_of(120)
    assert all(20 <= person.ages_years[0] <= 85 for person in people)
    assert all(person.ages_years[0] >= 58 for person in people if person.diagnosis == "AD")


def test_sites_follow_age_where_confounding_is_asked_for():
    people = people_of(60, site_confounding=1.0, mci_fraction=0, ad_fraction=0, stroke_fraction=0)
    ages = np.array([person.ages_years[0] for person in people])
    sites = np.array([person.site for person in people])
    assert ages[sites == 0].max() <= ages[sites == 1].min()
    assert ages[sites == 1].max() <= ages[sites == 2].min()


def test_only_strokes_have_a_stroke_scale_and_second_sessions_come_one_to_three_years_later():
    people = people_of(200)
    assert all((person.nihss is not None) == (person.diagnosis == "S") for person in people)
    assert all(0 <= person.nihss <= 42 for person in people if person.nihss is not None)
    gaps = [p.ages_years[1] - p.ages_years[0] for p in people if len(p.ages_years) == 2]
    assert 0.12 < len(gaps) / len(people) < 0.28
    assert all(0.99 < gap < 3.01 for gap in gaps)


def test_ages_the_wrong_way_round_are_refused():
    with pytest.raises(ConfigError, match="ascending"):
        check_section(PhantomConfig, {"age_range_years": [80, 20]}, where="recipe")
