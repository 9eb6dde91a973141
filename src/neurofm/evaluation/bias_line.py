"""The line of a prediction's error over what is predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, " scans"]


@dataclass(frozen=True)
class BiasLine:
    """What a model is expected to be wrong by, for each true value.

    Attributes:
        slope: of (prediction - target) over the target.
        intercept: in the target's unit.
    """

    slope: float = math.nan
    intercept: float = math.nan

    def taken_from(self, prediction: Values, target: Values) -> Values:
        """Predictions less the error that their true values lead to expect."""
        return prediction - (self.slope * target + self.intercept)


def fit_bias_line(prediction: Values, target: Values, weights: Values) -> BiasLine:
    """The line through the errors of people whom the model has not learnt from.

    Args:
        prediction: of each scan.
        target: its true value.
        weights: of the scans.

    Returns:
        NaN where there are fewer than two different values, or predictions are unknown.
    """
    if not len(target) or np.ptp(target) < 1e-9:
        return BiasLine()
    share, wrong = weights / weights.sum(), prediction - target
    centred = target - share @ target
    slope = float(share @ (centred * wrong) / (share @ centred**2))
    return BiasLine(slope, float(share @ wrong - slope * (share @ target)))
