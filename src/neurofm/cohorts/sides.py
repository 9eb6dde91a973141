"""The words of the column `split`: who may learn from whom."""

from __future__ import annotations

from typing import Any

import pandas as pd

PRETRAIN = "pretrain"
HELD_OUT = "held-out"
TRAIN, VALIDATION, TEST = "train", "validation", "test"
# Trains a task, yet stays unseen in pre-training; the people of TRAIN are in both.
HELD_OUT_TRAIN = "held-out-train"
UNUSED = "unused"

SEEN_IN_PRETRAINING = (PRETRAIN, TRAIN)
KEPT_FROM_PRETRAINING = (HELD_OUT, HELD_OUT_TRAIN, VALIDATION, TEST)


def given_roles(split: pd.Series[Any]) -> pd.Series[Any]:
    """The part of a task that the column gives each scan: train, validation, test or None."""
    roles = split.where(split != HELD_OUT_TRAIN, TRAIN)
    return roles.where(roles.isin([TRAIN, VALIDATION, TEST]), None).astype(object)


def has_part(index: pd.DataFrame) -> pd.Series[Any]:
    """Rows among whom the parts of a task are drawn, or who are in a part that is given."""
    split = index["split"]
    given, held_out = given_roles(split).notna(), split == HELD_OUT
    if given.any():
        return given
    return held_out if held_out.any() else ~given
