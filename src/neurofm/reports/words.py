"""How numbers and names of results are written for people."""

from __future__ import annotations

import math

_TITLES = {
    "age_years": ("Age", "years"),
    "sex": ("Sex", ""),
    "diagnosis": ("Diagnosis", ""),
    "site": ("Site predictability", ""),
    "cohort": ("Cohort", ""),
}
# "MAE" is a masked autoencoder too, and both stand in the paper's table.
_LONG = {"MAE": "mean absolute error", "corrected MAE": "corrected mean absolute error"}
_IN_UNITS = ("MAE", "RMSE", "corrected MAE")
_TWO_DECIMALS = (
    "r", "R2", "bias slope", "corrected bias slope", "calibration intercept", "calibration slope",
)  # fmt: skip


def task_title(task: str) -> str:
    """The heading of a task."""
    return _TITLES.get(task, (task.replace("_", " "), ""))[0]


def task_unit(task: str, given: str = "") -> str:
    """The unit of a regression target: the given one, or where it is known; else empty."""
    return given or _TITLES.get(task, ("", ""))[1]


def number(value: float, metric: str, beside: float | None = None) -> str:
    """A value with as many digits as its metric deserves; "n/a" for NaN.

    Args:
        value: the value.
        metric: its metric.
        beside: another value whose digits it shall have, such as the mean of a spread.
    """
    if math.isnan(value):
        return "n/a"
    size = abs(value if beside is None else beside)
    if metric in _IN_UNITS:
        digits = 1 if size >= 100 else 2 if size >= 1 else 3
    else:
        digits = 2 if metric in _TWO_DECIMALS else 3
    return _signed(f"{value:.{digits}f}")


def gain(value: float, metric: str) -> str:
    """A difference with its sign."""
    text = number(value, metric)
    return text if value < 0 or math.isnan(value) else f"+{text}"


def interval(low: float, high: float, metric: str, beside: float | None = None) -> str:
    """An interval "low to high"; empty where there is none."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{number(low, metric, beside)} to {number(high, metric, beside)}"


def p_value(p: float) -> str:
    """A p value as papers print it."""
    if math.isnan(p):
        return ""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def metric_title(metric: str, unit: str) -> str:
    """A metric as tables and axes name it, with the unit of the label where it has that."""
    words = _LONG.get(metric, metric).replace("R2", "R²")
    return f"{words} ({unit})" if metric in _IN_UNITS and unit else words


def _signed(text: str) -> str:
    positive = text.removeprefix("-")
    if not float(positive):
        return positive
    return f"\N{MINUS SIGN}{positive}" if text != positive else text
