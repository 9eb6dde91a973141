"""Round numbers along an axis: enough of them, all between its ends."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.reports.ticks import round_ticks, tick_digits


@pytest.mark.parametrize("size", [1e-6, 0.3, 1.0, 40.0, 1e5])
def test_an_axis_of_any_length_has_two_to_six_round_ticks(size: float) -> None:
    stream = np.random.default_rng(0)
    for _ in range(500):
        low = size * stream.uniform(-1, 1)
        high = low + size * stream.uniform(0.1, 1)
        ticks = round_ticks(low, high)
        assert 2 <= len(ticks) <= 6
        assert low - 1e-6 * size <= min(ticks) < max(ticks) <= high + 1e-6 * size
        steps = np.diff(ticks)
        assert steps == pytest.approx(np.full(len(steps), steps[0]))
        digits = tick_digits(low, high)
        assert [float(f"{tick:.{digits}f}") for tick in ticks] == pytest.approx(ticks)


def test_an_axis_for_an_area_under_a_curve_has_more_than_its_middle() -> None:
    assert round_ticks(0.13, 0.95) == pytest.approx([0.2, 0.4, 0.6, 0.8])
