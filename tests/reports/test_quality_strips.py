from __future__ import annotations

import re
from pathlib import Path

from neurofm.reports.quality_strips import draw_strips
from neurofm.reports.quality_table import read_quality


def test_every_scan_is_a_dot_of_its_verdict(derivatives: Path) -> None:
    strips = {strip.number.name: strip for strip in draw_strips(read_quality(derivatives))}
    dots = re.findall(r'class="dots (\w+)" d="([^"]*)"', strips["brain_ml"].svg)
    count = {"pass": 0, "look": 0, "fail": 0}
    for verdict, path in dots:
        count[verdict] += path.count("h0")
    assert count == {"pass": 2, "look": 1, "fail": 1}


def test_a_larger_value_lies_further_to_the_right(derivatives: Path) -> None:
    strips = {strip.number.name: strip for strip in draw_strips(read_quality(derivatives))}
    across = {
        verdict: float(path.split("M")[1].split()[0])
        for verdict, path in re.findall(
            r'class="dots (\w+)" d="([^"]*)"', strips["brain_ml"].svg.split("west")[0]
        )
    }
    assert across["look"] < across["pass"] < across["fail"]


def test_the_extremes_are_named_by_their_place_in_the_table(derivatives: Path) -> None:
    strips = {strip.number.name: strip for strip in draw_strips(read_quality(derivatives))}
    assert strips["brain_ml"].lowest == (2, 3)
    assert strips["correlation"].lowest[0] == 1


def test_a_number_that_is_the_same_for_all_has_no_strip(derivatives: Path) -> None:
    names = [strip.number.name for strip in draw_strips(read_quality(derivatives))]
    assert "scale" not in names


def test_a_limit_is_drawn_where_values_come_near(derivatives: Path) -> None:
    strips = {strip.number.name: strip for strip in draw_strips(read_quality(derivatives))}
    # 850 mL lies below the 900 that want a look; 600, which fail, are 250 away from it.
    assert 'class="limit look"' in strips["brain_ml"].svg
    assert 'class="limit fail"' in strips["brain_ml"].svg
    assert "limit" not in strips["new_number_mm"].svg
