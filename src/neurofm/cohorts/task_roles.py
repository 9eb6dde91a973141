"""Who of a task trains, validates and tests: drawn by person, the same for every model and seed."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd

from neurofm.cohorts.leakage import refuse_overlap
from neurofm.cohorts.sides import HELD_OUT, TEST, TRAIN, VALIDATION, given_roles
from neurofm.cohorts.splits import Group, joined_people, quotas
from neurofm.config.preparation import SplitConfig
from neurofm.seeds import seed_of

__all__ = ["TEST", "TRAIN", "VALIDATION", "task_roles"]


def task_roles(frame: pd.DataFrame, strata: pd.Series[Any], config: SplitConfig) -> pd.Series[Any]:
    """The role of each labelled scan: "train", "validation", "test", or None for no part.

    Where the column `split` names such roles, they are taken as they stand ("held-out-train" as
    "train"). Else the held-out
    people are divided, or everybody where nobody was held out: participants who share an identical
    file stay together, every stratum is divided alike, and in it, as far as it goes, every site and
    age (columns `site` and `age_years`, where there are any). The draw depends on `task_seed` and
    on who is there, never on the order of the rows.

    Args:
        frame: rows of an index that have the label.
        strata: for each row what the parts are to hold alike, such as its class.
        config: the shares and the seed.

    Raises:
        LeakageError: given roles would put scans of one person into two parts.
    """
    return _with_less_training(frame, strata, _roles(frame, strata, config), config)


def _roles(frame: pd.DataFrame, strata: pd.Series[Any], config: SplitConfig) -> pd.Series[Any]:
    given = given_roles(frame["split"])
    if given.notna().any():
        refuse_overlap(frame, given)
        return given
    is_held_out = frame["split"] == HELD_OUT
    pool = frame[is_held_out] if is_held_out.any() else frame
    people = joined_people(pool)
    groups = [
        Group(str(key), _stratum(strata.loc[rows.index]), None)
        for key, rows in pool.sort_values("scan_id").groupby(people, sort=True)
    ]
    line = _line(pool, people)
    test = _drawn(groups, line, config.task_test_fraction, config.task_seed, TEST)
    others = [group for group in groups if group.key not in test]
    share = config.task_validation_fraction / (1 - config.task_test_fraction)
    validation = _drawn(others, line, share, config.task_seed, VALIDATION)
    roles = {group.key: TRAIN for group in groups}
    roles |= dict.fromkeys(test, TEST) | dict.fromkeys(validation, VALIDATION)
    return (
        people.map(roles).reindex(frame.index).astype(object).where(lambda role: role.notna(), None)
    )


def _with_less_training(
    frame: pd.DataFrame, strata: pd.Series[Any], roles: pd.Series[Any], config: SplitConfig
) -> pd.Series[Any]:
    """The roles with a share of the training people only; a smaller share is part of a larger.

    In each stratum the people stand in a drawn order; who is within the share of it stays.
    """
    if config.task_train_fraction == 1:
        return roles
    train = frame[roles == TRAIN]
    people = joined_people(train)
    strata_of = strata.loc[train.index].groupby(people).first()
    drawn = sorted(strata_of.index, key=lambda key: seed_of("train share", config.task_seed, key))
    by_stratum = strata_of.loc[drawn].groupby(strata_of.loc[drawn])
    places = (by_stratum.cumcount() + 0.5) / by_stratum.transform("size")
    order = places.sort_values(kind="stable")
    kept = order.index[: max(1, round(config.task_train_fraction * len(order)))]
    return roles.where((roles != TRAIN) | people.isin(kept).reindex(roles.index, fill_value=False))


def _line(frame: pd.DataFrame, people: pd.Series[Any]) -> dict[str, tuple[str, float]]:
    """Where each person stands in a line: by site, there by age; who has none stands together."""
    shown = frame.reindex(columns=["site", "age_years"]).groupby(people)
    sites = shown["site"].first().astype(object).fillna("")
    ages = shown["age_years"].min().astype(float).fillna(math.inf)
    return {str(key): (str(sites[key]), float(ages[key])) for key in sites.index}


def _drawn(
    groups: list[Group], line: dict[str, tuple[str, float]], fraction: float, seed: int, role: str
) -> set[str]:
    """The people of a role: of each stratum its share, at equal steps along the line."""
    drawn: set[str] = set()
    for stratum, count in quotas(groups, fraction, seed).items():
        keys = [group.key for group in groups if group.stratum == stratum]
        keys.sort(key=lambda key: (line[key], seed_of("task role", seed, role, key)))
        start = seed_of("task start", seed, role, *map(str, stratum)) % 2**32 / 2**32
        drawn.update(keys[int((place + start) * len(keys) / count)] for place in range(count))
    return drawn


def _stratum(values: pd.Series[Any]) -> tuple[Hashable, ...]:
    return (str(values.iloc[0]),)
