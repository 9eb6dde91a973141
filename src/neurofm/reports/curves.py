"""Curves over a run as small inline SVG: a line, the spread it sums up, and lines to compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from neurofm.reports.ticks import round_ticks, tick_digits

Values = npt.NDArray[np.float64]

# In units of the drawing, which a page shows as pixels at least.
_WIDTH, _HEIGHT = 360.0, 178.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 346.0, 10.0, 142.0
_MOST_PLACES = 150  # along the line: more cannot be told apart
_MOST_DIGITS = 5  # after the point: so many would not fit beside the axis


@dataclass(frozen=True)
class Reference:
    """A level to compare with, drawn dashed."""

    value: float
    label: str
    is_limit: bool = False


@dataclass(frozen=True, eq=False)
class Curve:
    """What is drawn.

    Attributes:
        title: what a reader who does not see it is told first.
        x: rising, from 0 or more; the axis begins at 0.
        y: NaN where there is none.
        x_label: "epoch" or "step".
        low, high: a band around y; None draws the spread of the values that share a place.
        references: levels to compare with; the axis reaches them.
        reaches_zero: the axis begins at 0.
        is_logarithmic: equal factors are equal distances; what is not above 0 is left out.
        has_dots: each value is a dot, as there are few.
    """

    title: str
    x: Values
    y: Values
    x_label: str
    low: Values | None = None
    high: Values | None = None
    references: tuple[Reference, ...] = ()
    reaches_zero: bool = False
    is_logarithmic: bool = False
    has_dots: bool = False


def draw_curve(curve: Curve) -> str:
    """The curve as an `<svg>` of classes line, band, dots, axis, grid, level, limit."""
    x, y, low, high = _thinned(curve)
    span = (0.0, float(curve.x.max(initial=0.0)) or 1.0)
    across = _scale(span, _LEFT, _RIGHT)
    ends = _ends(curve, y, low, high)
    down = _scale(ends, _BOTTOM, _TOP)
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(_in_words(curve))}">'
        f"{_y_axis(ends, down, curve.is_logarithmic)}{_x_axis(curve.x_label, span, across)}"
        f'<svg x="0" y="{_TOP - 4:g}" width="{_WIDTH:g}" height="{_BOTTOM - _TOP + 8:g}" '
        f'viewBox="0 {_TOP - 4:g} {_WIDTH:g} {_BOTTOM - _TOP + 8:g}">'
        f"{_band(x, low, high, across, down)}{_line(x, y, across, down)}"
        f"{_dots(x, y, across, down) if curve.has_dots or len(x) == 1 else ''}</svg>"
        f"{_levels(curve, down)}</svg>"
    )


def with_minus(text: str) -> str:
    """The text of a number with a proper minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")


def _thinned(curve: Curve) -> tuple[Values, Values, Values, Values]:
    """x, y, low and high: means and extremes of neighbours, where there are too many values."""
    y = np.log10(np.where(curve.y > 0, curve.y, np.nan)) if curve.is_logarithmic else curve.y
    known = np.isfinite(y)
    x, y = curve.x[known], y[known]
    if curve.low is not None and curve.high is not None:
        return x, y, curve.low[known], curve.high[known]
    if not len(x):
        return x, y, y, y
    groups = np.array_split(np.arange(len(x)), min(len(x), _MOST_PLACES))
    means, lows, highs = ([reduce(y[group]) for group in groups] for reduce in _REDUCED)
    places = np.array([x[group].mean() for group in groups])
    return places, np.array(means), np.array(lows), np.array(highs)


_REDUCED: tuple[Callable[[Values], float], ...] = (np.mean, np.min, np.max)


def _ends(curve: Curve, y: Values, low: Values, high: Values) -> tuple[float, float]:
    """Of the vertical axis: the line, its references, and all but the rarest of its spread."""
    within = np.concatenate([y, low[np.isfinite(low)], high[np.isfinite(high)]])
    wanted = [reference.value for reference in curve.references]
    if len(y):
        edges = np.quantile(within, [0.01, 0.99])
        wanted += [float(edges[0]), float(edges[1]), float(y.min()), float(y.max())]
    if curve.reaches_zero or not wanted:
        wanted.append(0.0)
    least, most = min(wanted), max(wanted)
    if most > least:
        return least, most
    return (least, least + 4.0) if curve.reaches_zero else (least - 0.5, least + 0.5)


def _scale(ends: tuple[float, float], first: float, last: float) -> Callable[[float], float]:
    extent = ends[1] - ends[0]
    if extent <= 0:
        return lambda _: (first + last) / 2
    return lambda value: first + (value - ends[0]) / extent * (last - first)


def _line(
    x: Values, y: Values, across: Callable[[float], float], down: Callable[[float], float]
) -> str:
    points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline class="line" points="{points}"/>'


def _dots(
    x: Values, y: Values, across: Callable[[float], float], down: Callable[[float], float]
) -> str:
    points = "".join(f"M{across(a):.1f} {down(b):.1f}h0" for a, b in zip(x, y, strict=True))
    return f'<path class="dots" d="{points}"/>'


def _band(
    x: Values,
    low: Values,
    high: Values,
    across: Callable[[float], float],
    down: Callable[[float], float],
) -> str:
    known = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[known], low[known], high[known]
    if len(x) < 2 or np.array_equal(low, high):
        return ""
    upper = [f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x, high, strict=True)]
    lower = [f"{across(a):.1f},{down(b):.1f}" for a, b in zip(x, low, strict=True)]
    return f'<polygon class="band" points="{" ".join(upper + lower[::-1])}"/>'


def _levels(curve: Curve, down: Callable[[float], float]) -> str:
    drawn = []
    for reference in curve.references:
        y = down(reference.value)
        kind = "limit" if reference.is_limit else "level"
        above = y - 4 if y > _TOP + 14 else y + 12
        drawn.append(
            f'<path class="{kind}" d="M{_LEFT:g} {y:.1f}H{_RIGHT:g}"/>'
            f'<text class="named" x="{_RIGHT:g}" y="{above:.1f}" text-anchor="end">'
            f"{escape(reference.label)}</text>"
        )
    return "".join(drawn)


def _y_axis(ends: tuple[float, float], down: Callable[[float], float], logarithmic: bool) -> str:
    drawn = []
    for value, text in _log_ticks(*ends) if logarithmic else _plain_ticks(*ends):
        y = down(value)
        drawn.append(
            f'<path class="grid" d="M{_LEFT:g} {y:.1f}H{_RIGHT:g}"/>'
            f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    return "".join(drawn)


def _x_axis(label: str, span: tuple[float, float], across: Callable[[float], float]) -> str:
    drawn = [f'<path class="axis" d="M{_LEFT:g} {_BOTTOM:g}H{_RIGHT:g}"/>']
    for value, text in _plain_ticks(*span):
        drawn.append(
            f'<path class="axis" d="M{across(value):.1f} {_BOTTOM:g}v4"/>'
            f'<text x="{across(value):.1f}" y="{_BOTTOM + 16:g}" text-anchor="middle">{text}</text>'
        )
    middle = (_LEFT + _RIGHT) / 2
    named = f'<text x="{middle:g}" y="{_HEIGHT - 5:g}" text-anchor="middle">{label}</text>'
    return "".join(drawn) + named


def _plain_ticks(low: float, high: float) -> Sequence[tuple[float, str]]:
    if high <= low:
        return [(low, with_minus(f"{low:.4g}"))]
    digits = tick_digits(low, high)
    form = f".{digits}f" if digits < _MOST_DIGITS else ".3g"
    return [(tick, with_minus(f"{tick:{form}}")) for tick in round_ticks(low, high)]


def _log_ticks(low: float, high: float) -> Sequence[tuple[float, str]]:
    """Powers of ten between two logarithms, with 2 and 5 times them where these are few."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    factors = (1,) if high - low > 3 else (1, 3) if high - low > 1.5 else (1, 2, 5)
    ticks = [
        (math.log10(factor) + decade, factor * 10.0**decade)
        for decade in decades
        for factor in factors
    ]
    return [(place, f"{value:g}") for place, value in ticks if low - 1e-9 <= place <= high + 1e-9]


def _in_words(curve: Curve) -> str:
    known = np.isfinite(curve.y)
    x, y = curve.x[known], curve.y[known]
    if not len(y):
        return f"{curve.title}: no value"
    ends = f"{y[0]:.3g} at {curve.x_label} {x[0]:.4g}, {y[-1]:.3g} at {curve.x_label} {x[-1]:.4g}"
    levels = "".join(f"; {reference.label} {reference.value:.3g}" for reference in curve.references)
    return with_minus(f"{curve.title}: {ends}; lowest {y.min():.3g}, highest {y.max():.3g}{levels}")
