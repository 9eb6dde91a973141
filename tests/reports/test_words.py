from __future__ import annotations

import pytest

from neurofm.reports.words import gain, interval, number, p_value


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (4.4912, "MAE", "4.49"),
        (123.44, "RMSE", "123.4"),
        (0.90449, "AUC", "0.904"),
        (-0.0321, "R2", "−0.03"),
        (-0.0001, "AUC", "0.000"),
        (float("nan"), "r", "n/a"),
    ],
)
def test_a_value_has_the_digits_its_metric_deserves(value: float, metric: str, text: str) -> None:
    assert number(value, metric) == text


def test_a_spread_has_the_digits_of_its_mean() -> None:
    assert number(0.153, "MAE", beside=4.49) == "0.15"


def test_gains_carry_their_sign_and_intervals_nothing_where_there_is_none() -> None:
    assert gain(0.05, "AUC") == "+0.050"
    assert gain(-2.5, "MAE") == "−2.50"
    assert interval(-1.0, 2.0, "MAE") == "−1.00 to 2.00"
    assert interval(float("nan"), 2.0, "MAE") == ""


def test_a_tiny_p_value_is_no_zero() -> None:
    assert p_value(0.0001) == "p < 0.001"
    assert p_value(0.0192) == "p = 0.019"
