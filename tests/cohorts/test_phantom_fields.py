"""Smooth fields equal a slow B-spline sum and do not depend on the grid they are read on."""

import numpy as np
from scipy.interpolate import BSpline

from neurofm.cohorts.phantom_fields import Axes, random_field
from neurofm.seeds import random_stream

BOX = ((-20.0, 20.0), (-10.0, 30.0), (0.0, 40.0))


def axes_at(*places: list[float]) -> Axes:
    x, y, z = (np.asarray(axis, np.float32) for axis in places)
    return x, y, z


def test_a_field_equals_the_sum_of_its_splines():
    field = random_field(random_stream("test"), 1, BOX, 8.0, 1.0)
    place = (3.2, -1.7, 22.9)
    bump = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    expected = 0.0
    for index in np.ndindex(field.weights.shape[1:]):
        weight = float(field.weights[0][index])
        for axis in range(3):
            distance = (place[axis] - field.origin_mm[axis]) / 8.0 - index[axis]
            weight *= np.nan_to_num(float(bump(distance)))
        expected += weight
    value = field.at(axes_at(*([p] for p in place)))[0, 0, 0, 0]
    assert abs(value - expected) < 1e-5


def test_a_finer_grid_reads_the_same_field():
    field = random_field(random_stream("test"), 2, BOX, 8.0, 1.0)
    coarse = [list(np.arange(low, high, 4.0)) for low, high in BOX]
    fine = [list(np.arange(low, high, 1.0)) for low, high in BOX]
    np.testing.assert_allclose(
        field.at(axes_at(*fine))[:, ::4, ::4, ::4], field.at(axes_at(*coarse)), atol=1e-5
    )


def test_a_field_has_the_wanted_spread():
    box = ((-100.0, 100.0),) * 3
    field = random_field(random_stream("spread"), 1, box, 8.0, 2.5)
    values = field.at(axes_at(*([list(np.arange(-95.0, 95.0, 3.7))] * 3)))
    assert abs(values.std() - 2.5) < 0.15
    assert abs(values.mean()) < 0.15
