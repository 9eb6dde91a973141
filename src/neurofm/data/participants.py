"""Some participants of an index, one scan of each: always the same for the same seed."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.seeds import seed_of


def one_scan_each(frame: pd.DataFrame, participants: int, seed: int) -> pd.DataFrame:
    """Rows of some participants, one each; who and which depends on the seed and them alone.

    The first of many are those of few.
    """
    order = pd.DataFrame(
        {
            "person": [str(key) for key in participant_keys(frame)],
            "scan": [seed_of("probe scan", seed, str(name)) for name in frame["scan_id"]],
        },
        index=frame.index,
    )
    order["drawn"] = [seed_of("probe person", seed, person) for person in order["person"]]
    first = order.sort_values(["drawn", "scan"]).drop_duplicates("person")
    return frame.loc[first.index[:participants]]
