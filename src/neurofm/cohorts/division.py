"""An index divided as its recipe says: by a share, or by a preset."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.leakage import refuse_torn_split
from neurofm.cohorts.preset import Divided, paper_split
from neurofm.cohorts.splits import assign_splits
from neurofm.cohorts.three_parts import three_parts
from neurofm.config.preparation import SplitConfig
from neurofm.errors import TableError


def divide_index(frame: pd.DataFrame, config: SplitConfig, seed: int) -> Divided:
    """Fill the column `split`, by person; see the function of each preset for its errors.

    Raises:
        TableError: the index is divided already, in another way than the preset does.
        LeakageError: somebody would be on two sides.
    """
    if config.preset == "none":
        divided = Divided(assign_splits(frame, config, seed))
    elif config.preset == "paper":
        divided = paper_split(frame, config, seed)
    else:
        divided = three_parts(frame, config, seed)
    require_kept(frame, divided.frame)
    refuse_torn_split(divided.frame)
    return divided


def require_kept(before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raise a `TableError` where a side that an index gives would become another."""
    given = before["split"].notna()
    if (before["split"][given] != after["split"][given]).any():
        raise TableError(
            "is divided already, in another way", "start from an index without a split", "index"
        )
