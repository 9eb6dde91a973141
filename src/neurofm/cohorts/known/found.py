"""What an index holds of the known cohorts against the paper's Table 1."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.known.description import KnownCohort, Use, known_cohorts
from neurofm.cohorts.sides import SEEN_IN_PRETRAINING


@dataclass(frozen=True)
class Found:
    """One line of Table 1 with what an index holds of it.

    Attributes:
        cohort: its description.
        use: the line.
        participants: people found; None where the index does not say who belongs to this line.
        scans: usable scans of them.
        conditions: diagnoses found, sorted.
    """

    cohort: KnownCohort
    use: Use
    participants: int | None
    scans: int | None
    conditions: tuple[str, ...]


def found_cohorts(frame: pd.DataFrame) -> tuple[Found, ...]:
    """Every line of Table 1, in its order, with what an index holds; scans with a problem apart.

    A cohort that the paper uses in two ways is counted by the index's split.
    """
    usable = frame[frame["problem"].isna()]
    lines = [(use, cohort) for cohort in known_cohorts() for use in cohort.uses]
    lines.sort(key=lambda line: (line[0].use == "held out", line[1].name))
    return tuple(_found(usable[usable["cohort"] == c.name], use, c) for use, c in lines)


def other_cohorts(frame: pd.DataFrame) -> tuple[str, ...]:
    """Cohorts of an index that are not the paper's."""
    names = {cohort.name for cohort in known_cohorts()}
    return tuple(sorted(set(frame["cohort"]) - names))


def _found(rows: pd.DataFrame, use: Use, cohort: KnownCohort) -> Found:
    if len(cohort.uses) > 1:
        if len(rows) and rows["split"].isna().all():
            return Found(cohort, use, None, None, ())
        is_seen = rows["split"].isin(SEEN_IN_PRETRAINING)
        rows = rows[is_seen if use.use == "pre-training" else ~is_seen]
    conditions = tuple(sorted(set(rows["diagnosis"].dropna())))
    return Found(cohort, use, participant_keys(rows).nunique(), len(rows), conditions)
