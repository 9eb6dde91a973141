"""Who is in a phantom cohort: age, sex, diagnosis, scanner and sessions of each participant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurofm.config import PhantomConfig
from neurofm.seeds import random_stream

Sex = Literal["F", "M"]
Diagnosis = Literal["H", "MCI", "AD", "S"]

_GOLDEN = 0.6180339887498949
_SILVER = 0.4142135623730950
_YOUNGEST = {"H": 0.0, "MCI": 55.0, "AD": 58.0, "S": 40.0}


@dataclass(frozen=True)
class Person:
    """One simulated participant.

    Attributes:
        number: place in the cohort, from 1; with the seed it decides everything else.
        ages_years: one age for each session, ascending.
        site: scanner number, from 0.
        nihss: NIH stroke scale, 0 to 42; None without a stroke.
    """

    number: int
    ages_years: tuple[float, ...]
    sex: Sex
    diagnosis: Diagnosis
    site: int
    nihss: int | None

    @property
    def label(self) -> str:
        """The participant's BIDS label."""
        return f"{self.number:04d}"


def draw_people(config: PhantomConfig, seed: int) -> list[Person]:
    """All participants of a cohort; a smaller cohort is the beginning of a larger one.

    Every run of 2 x sites participants holds each sex at each site once, and ages and diagnoses
    are spread evenly within each sex and site, so that no scanner stands for a group of people.
    """
    return [draw_person(config, seed, number) for number in range(1, config.participants + 1)]


def draw_person(config: PhantomConfig, seed: int, number: int) -> Person:
    """Participant `number` (from 1) of the cohort; depends on nobody else's draws."""
    round_, place = divmod(number - 1, 2 * config.sites)
    cells = random_stream("phantom", "round", seed, round_).permutation(2 * config.sites)
    cell = int(cells[place])
    site, sex_number = divmod(cell, 2)
    age_share = _spread(config, seed, "age", cell, round_ * _GOLDEN)
    diagnosis = _diagnosis(config, _spread(config, seed, "diagnosis", cell, round_ * _SILVER))
    stream = random_stream("phantom", "person", seed, number)
    low, high = config.age_range_years
    youngest = min(max(low, _YOUNGEST[diagnosis]), high)
    age = round(youngest + age_share * (high - youngest), 1)
    gap = round(float(stream.uniform(1.0, 3.0)), 1)
    repeated = stream.random() < config.repeat_fraction
    nihss = round(42 * float(stream.beta(0.9, 2.4)))
    if stream.random() < config.site_confounding:
        site = min(int(age_share * config.sites), config.sites - 1)
    return Person(
        number=number,
        ages_years=(age, round(age + gap, 1)) if repeated else (age,),
        sex="F" if sex_number == 0 else "M",
        diagnosis=diagnosis,
        site=site,
        nihss=nihss if diagnosis == "S" else None,
    )


def _spread(config: PhantomConfig, seed: int, what: str, cell: int, step: float) -> float:
    """A share in [0, 1) that fills the interval evenly, over cells and within each cell."""
    stream = random_stream("phantom", what, seed)
    starts = (stream.permutation(2 * config.sites) + stream.random()) / (2 * config.sites)
    return float(starts[cell] + step) % 1.0


def _diagnosis(config: PhantomConfig, share: float) -> Diagnosis:
    if share < config.ad_fraction:
        return "AD"
    if share < config.ad_fraction + config.mci_fraction:
        return "MCI"
    if share < config.ad_fraction + config.mci_fraction + config.stroke_fraction:
        return "S"
    return "H"
