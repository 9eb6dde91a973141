"""Curves over a run: nothing extreme is lost, nothing is drawn where there is no value."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from neurofm.reports.curves import Curve, Reference, draw_curve

_TOP, _BOTTOM = 10.0, 142.0


def _drawn(svg: str, kind: str) -> np.ndarray:
    """Corners (x, y) of the one line or band."""
    elements = [each for each in ElementTree.fromstring(svg).iter() if each.get("class") == kind]
    (element,) = elements
    points = [point.split(",") for point in element.get("points", "").split()]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _ticks(svg: str) -> dict[float, float]:
    """Value and height of the labels of the vertical axis."""
    found = re.findall(r'<text x="38" y="([\d.]+)" text-anchor="end">([^<]+)</text>', svg)
    return {float(text.replace("\N{MINUS SIGN}", "-")): float(y) - 4 for y, text in found}


def _height_of(svg: str, value: float) -> float:
    ticks = _ticks(svg)
    (slope, start) = np.polyfit(list(ticks), list(ticks.values()), 1)
    return float(slope * value + start)


def _curve(y: np.ndarray, **more: object) -> Curve:
    return Curve("Loss", np.arange(1.0, len(y) + 1), y, "step", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [0, 1234, 99_999])
def test_one_spike_among_a_hundred_thousand_steps_reaches_the_edge_of_the_drawing(
    place: int,
) -> None:
    y = 3 + np.sin(np.arange(100_000) / 5000)
    y[place] = 50.0
    svg = draw_curve(_curve(y))
    band = _drawn(svg, "band")
    assert len(_drawn(svg, "line")) == 150
    assert band[:, 1].min() <= _TOP
    assert "highest 50" in svg
    assert "highest 4" in draw_curve(_curve(np.clip(y, 2, 4)))


def test_the_line_is_the_mean_of_neighbours_and_the_band_their_lowest_and_highest() -> None:
    y = np.random.default_rng(0).normal(5, 1, 1500)
    svg = draw_curve(_curve(y))
    line, band = _drawn(svg, "line"), _drawn(svg, "band")
    groups = y.reshape(150, 10)
    for drawn, expected in (
        (line[:, 1], groups.mean(axis=1)),
        (band[:150, 1], groups.max(axis=1)),
        (band[150:, 1][::-1], groups.min(axis=1)),
    ):
        heights = [_height_of(svg, value) for value in expected]
        assert drawn == pytest.approx(np.array(heights), abs=0.2)


def test_a_short_curve_is_drawn_as_it_is() -> None:
    y = np.array([3.0, 9.0, 4.0, 5.0])
    svg = draw_curve(_curve(y))
    heights = [_height_of(svg, value) for value in y]
    assert _drawn(svg, "line")[:, 1] == pytest.approx(np.array(heights), abs=0.2)
    assert 'class="band"' not in svg


def test_steps_without_a_value_are_left_out_of_the_line() -> None:
    whole = draw_curve(_curve(np.array([3.0, np.nan, 4.0, np.inf, 5.0])))
    assert _drawn(whole, "line").shape == (3, 2)
    assert not re.search(r"nan|inf", whole)


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("values", [[], [np.nan], [np.nan] * 400])
def test_no_value_is_no_point(values: list[float], logarithmic: bool) -> None:
    svg = draw_curve(_curve(np.array(values), is_logarithmic=logarithmic))
    assert "Loss: no value" in svg
    assert 'class="dots"' not in svg
    assert _drawn(svg, "line").size == 0
    assert not re.search(r"nan|inf", svg)


def test_a_single_value_is_a_dot() -> None:
    assert 'class="dots"' in draw_curve(_curve(np.array([2.0])))


def test_the_axis_reaches_the_levels_to_compare_with() -> None:
    y = np.linspace(2, 3, 50)
    svg = draw_curve(_curve(y, references=(Reference(10.0, "chance"),)))
    level = re.search(r'class="level" d="M44 ([\d.]+)H', svg)
    assert level is not None
    assert float(level[1]) == pytest.approx(_height_of(svg, 10.0), abs=0.2)
    assert float(level[1]) == pytest.approx(_TOP, abs=0.1)


def test_equal_factors_are_equal_distances_on_a_logarithmic_axis() -> None:
    line = _drawn(draw_curve(_curve(np.array([0.01, 1.0, 100.0]), is_logarithmic=True)), "line")
    assert line[:, 1] == pytest.approx(np.array([_BOTTOM, (_BOTTOM + _TOP) / 2, _TOP]), abs=0.1)


@pytest.mark.parametrize("highest", [1e-7, 3e-6, 1e-5, 3e-4, 0.1, 7.0, 400.0, 25_000.0])
def test_labels_of_the_axis_fit_beside_it_and_say_their_value(highest: float) -> None:
    svg = draw_curve(_curve(np.full(30, highest), reaches_zero=True))
    texts = re.findall(r'<text x="38" y="[\d.]+" text-anchor="end">([^<]+)</text>', svg)
    assert len(texts) >= 3
    assert max(len(text) for text in texts) <= 6
    places = _ticks(svg)
    for value, height in places.items():
        expected = _BOTTOM - value / highest * (_BOTTOM - _TOP)
        assert height == pytest.approx(expected, abs=0.1)
