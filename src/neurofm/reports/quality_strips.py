"""Dot plots of quality control as small inline SVG: a dot a scan, a lane a cohort."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from neurofm.reports.quality_numbers import Number
from neurofm.reports.quality_table import VERDICTS, CheckedScan, QualityTable
from neurofm.reports.ticks import round_ticks, tick_digits

# In units of the drawing, which a page shows as pixels at most.
_WIDTH, _EDGE = 360.0, 8.0
_DOT, _LANE_PADDING, _NAME_HEIGHT, _AXIS_HEIGHT = 5.0, 5.0, 15.0, 20.0
_LANE_MOST = 64.0


@dataclass(frozen=True)
class Strip:
    """The values of one number over all scans.

    Attributes:
        number: what is shown.
        svg: the drawing.
        lowest, highest: places in the table of the scans with the two most extreme values each.
    """

    number: Number
    svg: str
    lowest: tuple[int, ...]
    highest: tuple[int, ...]


def draw_strips(table: QualityTable) -> tuple[Strip, ...]:
    """A strip for every number that is not the same for all scans."""
    return tuple(
        _strip(number, table) for number in table.numbers if not is_constant(number, table)
    )


def is_constant(number: Number, table: QualityTable) -> bool:
    """Whether several scans all show the same value, as rigid registration's scaling of 1."""
    values = [scan.numbers[number.name] for scan in table.scans if number.name in scan.numbers]
    return len(values) > 1 and len({number.text(value) for value in values}) == 1


def _strip(number: Number, table: QualityTable) -> Strip:
    measured = [
        (scan.numbers[number.name], place)
        for place, scan in enumerate(table.scans)
        if number.name in scan.numbers
    ]
    measured.sort()
    places = [place for _, place in measured]
    extremes = min(2, len(places) // 2)
    return Strip(
        number,
        _svg(number, table, [value for value, _ in measured]),
        tuple(places[:extremes]),
        tuple(reversed(places[len(places) - extremes :])),
    )


def _svg(number: Number, table: QualityTable, values: Sequence[float]) -> str:
    low, high = _ends(number, values)
    lanes, top = [], 0.0
    for cohort in table.cohorts:
        scans = [
            scan for scan in table.scans if scan.cohort == cohort and number.name in scan.numbers
        ]
        if not scans:
            continue
        if len(table.cohorts) > 1:
            top += _NAME_HEIGHT
            lanes.append(f'<text x="{_EDGE:g}" y="{top - 4:g}">{escape(cohort)}</text>')
        drawn, height = _lane(scans, number, (low, high), top)
        lanes.append(drawn)
        top += height
    description = (
        f"{number.heading}: {len(values)} scans from {number.text(values[0])} to "
        f"{number.text(values[-1])}, half of them below {number.text(statistics.median(values))}"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {top + _AXIS_HEIGHT:.1f}" role="img" '
        f'aria-label="{escape(description)}">'
        f"{_limits(number, (low, high), top)}{_axis(number, (low, high), top)}"
        f"{''.join(lanes)}</svg>"
    )


def _ends(number: Number, values: Sequence[float]) -> tuple[float, float]:
    """From the lowest to the highest value, and a limit that lies close by."""
    low, high = values[0], values[-1]
    reach = 0.5 * (high - low)
    bounds = [bound for _, bound, _ in number.bounds()]
    near = [bound for bound in bounds if low - reach <= bound <= high + reach]
    return min(low, *near, low), max(high, *near, high)


def _lane(
    scans: Sequence[CheckedScan], number: Number, ends: tuple[float, float], top: float
) -> tuple[str, float]:
    """Dots of one cohort, side by side where they would hide each other, and the lane's height.

    All dots of a verdict are one path of points without length: a tenth of the text of circles.
    """
    columns: dict[int, list[CheckedScan]] = {}
    for scan in sorted(scans, key=lambda scan: -VERDICTS.index(scan.verdict)):
        column = round(_across(scan.numbers[number.name], ends) / _DOT)
        columns.setdefault(column, []).append(scan)
    most = max(map(len, columns.values()))
    step = min(_DOT, (_LANE_MOST - _DOT) / max(1, most - 1))
    height = 2 * _LANE_PADDING + _DOT + step * (most - 1)
    points: dict[str, list[str]] = {verdict: [] for verdict in reversed(VERDICTS)}
    for stack in columns.values():
        for place, scan in enumerate(stack):
            across = _across(scan.numbers[number.name], ends)
            down = top + height / 2 + step * (place - (len(stack) - 1) / 2)
            points[scan.verdict].append(f"M{across:.1f} {down:.1f}h0")
    paths = [
        f'<path class="dots {verdict}" d="{"".join(drawn)}"/>'
        for verdict, drawn in points.items()
        if drawn
    ]
    return "".join(paths), height


def _limits(number: Number, ends: tuple[float, float], height: float) -> str:
    lines = []
    for verdict, bound, _ in number.bounds():
        if ends[0] <= bound <= ends[1] and ends[0] < ends[1]:
            across = _across(bound, ends)
            lines.append(f'<path class="limit {verdict}" d="M{across:.1f} 0V{height:.1f}"/>')
    return "".join(lines)


def _axis(number: Number, ends: tuple[float, float], top: float) -> str:
    drawn = [f'<path class="axis" d="M0 {top:.1f}H{_WIDTH:g}"/>']
    for tick in round_ticks(*ends):
        across = _across(tick, ends)
        drawn.append(f'<path class="axis" d="M{across:.1f} {top:.1f}v4"/>')
        text = replace(number, digits=_tick_digits(number, ends)).text(tick)
        anchor = "start" if across < 24 else "end" if across > _WIDTH - 24 else "middle"
        drawn.append(
            f'<text x="{across:.1f}" y="{top + 16:.1f}" text-anchor="{anchor}">{text}</text>'
        )
    return "".join(drawn)


def _across(value: float, ends: tuple[float, float]) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0]) if ends[1] > ends[0] else 0.5
    return _EDGE + share * (_WIDTH - 2 * _EDGE)


def _tick_digits(number: Number, ends: tuple[float, float]) -> int:
    if ends[1] <= ends[0]:
        return number.digits
    return tick_digits(*ends)
