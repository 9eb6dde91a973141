"""What makes one simulated brain differ from the average: size, ageing, disease, stroke."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neurofm.cohorts.phantom_people import Person
from neurofm.seeds import random_stream

# Mean volume inside the skull, ml, halved difference and spread of its logarithm: men's skulls
# hold 11 % more than women's, with 7.5 % spread within each sex (in vivo MRI: about 12 %).
_MEAN_HEAD_ML = 1470.0
_SEX_HALF_DIFFERENCE = 0.055
_SIZE_SPREAD = 0.068
_AGE_GAP_YEARS = 3.5


@dataclass(frozen=True)
class Traits:
    """The numbers one session's anatomy is built from.

    Attributes:
        head_ml: volume inside the brain's hull.
        stretch: factor on each axis, product 1.
        ventricle_widening_mm: how far the ventricles' walls move out.
        surface_shrinkage_mm: how far the brain's surface moves in from its hull.
        sulcal_widening: added log-odds of fluid against grey matter in the sulci.
        horn_radius_mm: radius of the temporal horns.
        hippocampal_loss: 0 none to 1 severe atrophy of the medial temporal lobe.
        grey_surplus: added log-odds of grey against white matter.
        contrast_loss: share of the grey-white contrast lost with age.
        lesion_ml: wanted volume of the stroke lesion, 0 for none.
        skull_thickness: factor on the average skull.
    """

    head_ml: float
    stretch: tuple[float, float, float]
    ventricle_widening_mm: float
    surface_shrinkage_mm: float
    sulcal_widening: float
    horn_radius_mm: float
    hippocampal_loss: float
    grey_surplus: float
    contrast_loss: float
    lesion_ml: float
    skull_thickness: float


def draw_traits(seed: int, person: Person, age_years: float) -> Traits:
    """The traits of a participant at an age: personal draws are the same at every age.

    All changes grow with age: the ventricles faster and faster, the sulci more evenly, as in
    longitudinal MRI. A personal gap between the brain's age and the calendar's, the same for all
    parts, and smaller ones of each part keep age from being readable exactly.
    """
    stream = random_stream("phantom", "traits", seed, person.number)
    size, gap, ventricles, surface, sulci, horn, surplus, skull = stream.standard_normal(8)
    stretch = stream.normal(0.0, 0.02, 3)
    disease = {"H": 0.0, "MCI": 0.45, "AD": 1.0, "S": 0.0}[person.diagnosis]
    severity = disease * math.exp(0.25 * float(stream.standard_normal()))
    lesion = 0.0
    if person.nihss is not None:
        lesion = (1.5 + 3.5 * person.nihss) * math.exp(0.2 * float(stream.standard_normal()))
    years = age_years + _AGE_GAP_YEARS * float(gap) + 5.0 * severity
    late, even = _ageing(years)
    sign = 1.0 if person.sex == "M" else -1.0
    log_size = sign * _SEX_HALF_DIFFERENCE + _SIZE_SPREAD * float(size)
    loss = severity + 0.12 * late
    return Traits(
        head_ml=_MEAN_HEAD_ML * math.exp(log_size),
        stretch=_product_one(stretch),
        ventricle_widening_mm=-0.8 + 0.6 * float(ventricles) + 4.6 * late + 0.8 * severity,
        surface_shrinkage_mm=-0.3 + 0.2 * float(surface) + 2.4 * even + 0.4 * severity,
        sulcal_widening=-0.9 + 0.2 * float(sulci) + 2.4 * even + 0.3 * severity,
        horn_radius_mm=1.2 + 0.25 * float(horn) + 1.3 * late + 2.2 * severity,
        hippocampal_loss=min(loss, 1.5),
        # Larger brains hold relatively more white matter, whichever sex they belong to.
        grey_surplus=0.08 - 0.8 * log_size - 0.1 * sign + 0.1 * float(surplus),
        contrast_loss=0.22 * even,
        lesion_ml=lesion,
        skull_thickness=math.exp(0.12 * float(skull)),
    )


def _ageing(years: float) -> tuple[float, float]:
    """Progress of late-accelerating and of even changes: 0 at 20 years, 1 at 85."""
    share = max(years - 20.0, 0.0) / 65.0
    return 0.3 * share + 0.7 * share**2.2, 0.75 * share + 0.25 * share**2


def _product_one(logs: object) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in logs)  # type: ignore[attr-defined]
    mean = (x + y + z) / 3
    return math.exp(x - mean), math.exp(y - mean), math.exp(z - mean)
