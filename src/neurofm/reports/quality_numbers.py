"""The numbers of quality control in words: title, unit, digits, meaning, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurofm.preprocess.quality import LIMITS

Bounds = tuple[float, float]
Verdict = Literal["look", "fail"]
Standing = Literal["", "look", "fail"]


@dataclass(frozen=True)
class Number:
    """One measured number and how it is shown.

    Attributes:
        name: as in the sidecars, e.g. "brain_ml".
        title: for a heading.
        unit: "mL"; empty where it has none.
        digits: after the decimal point.
        meaning: one sentence; empty where it is not known.
        look: lowest and highest value that is good; None where there is no limit.
        fail: lowest and highest value that is usable; None where there is no limit.
    """

    name: str
    title: str
    unit: str
    digits: int
    meaning: str = ""
    look: Bounds | None = None
    fail: Bounds | None = None

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def text(self, value: float | None) -> str:
        """A value for reading; empty for None."""
        if value is None:
            return ""
        text = f"{value:,.{self.digits}f}"
        if not float(text.replace(",", "")):
            text = text.removeprefix("-")
        return text.replace("-", "\N{MINUS SIGN}")

    def standing(self, value: float) -> Standing:
        """Which limits a value breaks: none, those of "look", or those of "fail" too."""
        if self.fail and not _within(value, self.fail):
            return "fail"
        return "look" if self.look and not _within(value, self.look) else ""

    def bounds(self) -> tuple[tuple[Verdict, float, bool], ...]:
        """The bounds a value can pass: verdict beyond it, the bound, whether it is an upper one.

        What both limits share is the end of what is possible, such as a correlation of 1.
        """
        if self.look is None or self.fail is None:
            return ()
        given: tuple[tuple[Verdict, Bounds], ...] = (("look", self.look), ("fail", self.fail))
        return tuple(
            (verdict, pair[end], end == 1)
            for end in (0, 1)
            if self.look[end] != self.fail[end]
            for verdict, pair in given
        )

    def limits_in_words(self) -> str:
        """All bounds as "look below 900, fail below 600"; empty where there are none."""
        return ", ".join(
            f"{verdict} {'above' if is_upper else 'below'} {bound:,g}"
            for verdict, bound, is_upper in self.bounds()
        )


# Name: title, unit, digits, meaning.
_KNOWN: dict[str, tuple[str, str, int, str]] = {
    "brain_ml": ("Brain", "mL", 0, "Volume inside the brain mask, in the scan's own space."),
    "csf_ml": ("CSF", "mL", 0, "Volume of the fluid in and around the brain."),
    "gm_ml": ("Grey", "mL", 0, "Volume labelled as grey matter."),
    "wm_ml": ("White", "mL", 0, "Volume labelled as white matter."),
    "correlation": (
        "Corr.", "", 2,
        "Correlation with the template, the head's size taken out: low after a wrong registration.",
    ),
    "inner_correlation": (
        "Inner corr.", "", 2,
        "The same deep inside both brains: low where the contrast is not that of a T1.",
    ),
    "shape_overlap": (
        "Shape", "", 2, "Overlap (Dice) of both brain masks, the head's size taken out.",
    ),
    "overlap": ("Overlap", "", 2, "Overlap (Dice) of both brain masks as they lie."),
    "white_over_grey": (
        "WM/GM", "", 2, "Brightness where the template has white over where it has grey.",
    ),
    "contrast_to_noise": ("CNR", "", 1, "White minus grey matter's brightness, over the noise."),
    "signal_to_noise": ("SNR", "", 1, "White matter's brightness over the noise."),
    "coverage": ("Field", "", 2, "Share of the template's brain in the scan's field of view."),
    "left_share": ("Left", "", 2, "Share of the brain left of the template's midline."),
    "rotation_degrees": ("Rotation", "°", 0, "How far the head was turned to reach the template."),
    "centre_offset_mm": (
        "Offset", "mm", 1, "From the brain's centre to the template's, after registration.",
    ),
    "scale": ("Scaling", "", 2, "How much registration enlarged the brain; 1 if rigid."),
    "stretch": ("Stretch", "", 2, "Largest over smallest enlargement of an axis; 1 if rigid."),
}  # fmt: skip
_UNITS = {"ml": "mL", "mm": "mm", "degrees": "°", "seconds": "s", "percent": "%", "years": "years"}


def describe_number(name: str, largest: float) -> Number:
    """How a number is shown; an unknown one by its name, with the unit at the name's end.

    Args:
        name: as in the sidecars.
        largest: the largest size among its values, which decides an unknown number's digits.
    """
    limits = {limit.name: limit for limit in LIMITS}.get(name)
    title, unit, digits, meaning = _KNOWN.get(name) or _guessed(name, largest)
    return Number(
        name,
        title,
        unit,
        digits,
        meaning,
        look=limits.look if limits else None,
        fail=limits.fail if limits else None,
    )


def in_known_order(names: set[str]) -> list[str]:
    """Known numbers first, as they are best read; then the others by name."""
    return [name for name in _KNOWN if name in names] + sorted(names - set(_KNOWN))


def _guessed(name: str, largest: float) -> tuple[str, str, int, str]:
    words = name.split("_")
    unit = _UNITS.get(words[-1], "") if len(words) > 1 else ""
    title = " ".join(words[:-1] if unit else words)
    digits = 0 if largest >= 100 else 1 if largest >= 10 else 2 if largest >= 1 else 3
    return title[:1].upper() + title[1:], unit, digits, ""


def _within(value: float, bounds: Bounds) -> bool:
    return bounds[0] <= value <= bounds[1] + 1e-9
