"""One division of everybody, for pre-training and all tasks alike: a small collection's split."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.preset import Divided
from neurofm.cohorts.sides import TRAIN
from neurofm.cohorts.splits import described, joined_people, require_columns, three_sides
from neurofm.config.preparation import SplitConfig


def three_parts(frame: pd.DataFrame, config: SplitConfig, seed: int) -> Divided:
    """Divide all people into "train", "validation" and "test".

    Pre-training sees the people of "train" alone, without their labels; tasks train on the same
    people and test on the others. Participants who share an identical file count as one, and the
    draw depends on the seed and on who is there, never on the order of the rows.

    Args:
        frame: an index without a split, or with this one.
        config: the columns that the parts hold alike, and `task_test_fraction` and
            `task_validation_fraction` of all people.
        seed: the recipe's.

    Raises:
        TableError: a column to stratify by is missing.
    """
    require_columns(frame, config.stratify)
    people = joined_people(frame)
    groups = described(frame.assign(split=None), people, config.stratify)
    sizes = (
        round(config.task_test_fraction * len(groups)),
        round(config.task_validation_fraction * len(groups)),
    )
    parts = three_sides(groups, sizes, TRAIN, "everybody", seed)
    return Divided(frame.assign(split=people.map(parts).astype(object)))
