"""The summary of an index on screen: one line for each cohort."""

from __future__ import annotations

import pandas as pd
from rich.table import Table

from neurofm.cohorts.index import participant_keys


def cohort_table(frame: pd.DataFrame) -> Table:
    """Participants, scans, missing labels and problems of each cohort, and of all together."""
    table = Table("cohort", title="Scans", title_justify="left")
    for name in ("participants", "scans", "missing age", "missing sex", "problems"):
        table.add_column(name, justify="right")
    groups = list(frame.groupby("cohort", sort=True))
    for cohort, rows in groups:
        table.add_row(str(cohort), *_counts(rows))
    if len(groups) > 1:
        table.add_section()
        table.add_row("all", *_counts(frame))
    return table


def _counts(rows: pd.DataFrame) -> list[str]:
    counts = (
        participant_keys(rows).nunique(),
        len(rows),
        rows["age_years"].isna().sum(),
        rows["sex"].isna().sum(),
        rows["problem"].notna().sum(),
    )
    return [str(count) for count in counts]
