"""Round numbers along an axis."""

from __future__ import annotations

import math


def round_ticks(low: float, high: float) -> list[float]:
    """Round values between the ends, two to six of them; the one value where ends are equal."""
    if high <= low:
        return [low]
    step = _step(low, high)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [count * step for count in range(first, last + 1)]


def tick_digits(low: float, high: float) -> int:
    """How many decimals the round ticks between two different ends need."""
    return max(0, -math.floor(math.log10(_step(low, high)) + 1e-9))


def _step(low: float, high: float) -> float:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * part for part in (1, 2, 5, 10) if power * part >= rough * 0.999)
