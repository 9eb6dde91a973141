"""One person, one side: no participant, visit or copy of a file on two sides of a split."""

from __future__ import annotations

from typing import Any

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.listing import named
from neurofm.cohorts.sides import PRETRAIN, UNUSED
from neurofm.cohorts.splits import joined_people
from neurofm.errors import LeakageError


def refuse_torn_split(index: pd.DataFrame) -> None:
    """See that the column `split` tears nobody apart; rows without a side are for pre-training.

    Raises:
        LeakageError: as `refuse_overlap`.
    """
    split = index["split"]
    if split.notna().any():
        refuse_overlap(index, split.fillna(PRETRAIN))


def refuse_overlap(frame: pd.DataFrame, sides: pd.Series[Any]) -> None:
    """See that all scans of a person, and all copies of a file, are on one side.

    Args:
        frame: an index or rows of one.
        sides: the side of each row; rows with None or "unused" are on no side.

    Raises:
        LeakageError: somebody is on two sides; the participants are named.
    """
    placed = sides.notna() & (sides != UNUSED)
    people = joined_people(frame)
    torn = sides[placed].groupby(people[placed]).nunique()
    torn_people = torn.index[torn > 1]
    if not len(torn_people):
        return
    where = placed & people.isin(torn_people)
    words = " and ".join(f"'{side}'" for side in sorted(set(sides[where])))
    raise LeakageError(
        f"{named(sorted(set(participant_keys(frame)[where])))}: scans of one person, or copies of "
        f"one file, are in several parts of the split ({words})",
        "correct the column split, or start from an index without it", "index",
    )  # fmt: skip
