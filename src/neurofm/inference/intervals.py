"""Columns for where the truth of a scan may lie: an interval, or a set of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from neurofm.errors import ConfigError
from neurofm.models.conformal import (
    are_of_same_people,
    class_sets,
    common_limit,
    fewest_scores,
)
from neurofm.models.head import HeadCard


def require_level(level: float) -> None:
    """Refuse a level that is no share of people.

    Raises:
        ConfigError: not above 0 and below 1.
    """
    if not 0 < level < 1:
        raise ConfigError("has to be above 0 and below 1", "such as 0.9", f"--interval {level:g}")


def interval_columns(
    mean: Float[np.ndarray, "scans values"],
    usable: Bool[np.ndarray, " scans"],
    heads: Sequence[HeadCard],
    level: float,
) -> pd.DataFrame:
    """`low` and `high`, or `set`, and `level`; empty where nothing can be said.

    Args:
        mean: what the heads say, NaN for unusable scans.
        usable: which scans have a prediction.
        heads: of the members, which all predict the same.
        level: the share of new people whose truth is to be inside.
    """
    limit = common_limit(heads, level)
    columns: dict[str, object] = {}
    if heads[0].kind == "regression":
        reach = limit if math.isfinite(limit) else math.nan
        columns |= {"low": mean[:, 0] - reach, "high": mean[:, 0] + reach}
    else:
        sets = class_sets(np.nan_to_num(mean), limit)
        columns["set"] = [
            " ".join(heads[0].classes[place] for place in places) if is_told else None
            for places, is_told in zip(sets, usable & math.isfinite(limit), strict=True)
        ]
    return pd.DataFrame(columns | {"level": [level] * len(mean)})


def interval_notes(heads: Sequence[HeadCard], level: float) -> tuple[str, ...]:
    """Why there are no intervals, or wide ones; nothing where they are what was asked for."""
    fewest, kept = fewest_scores(level), min(len(head.validation_scores) for head in heads)
    what = "sets" if heads[0].classes else "intervals"
    if kept >= fewest:
        if len(heads) == 1 or are_of_same_people(heads):
            return ()
        why = "the weights' scores are not known to be of the same validation people"
        return (f"The {what} are wider than {level:g} needs: {why}.",)
    if not kept:
        return (f"No {what}: the weights keep no scores of validation people; train again.",)
    return (
        f"No {what}: a level of {level:g} needs {fewest} validation participants, "
        f"the weights have {kept}.",
    )
