"""The task of a supervised run: its labels, who trains, validates and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.leakage import refuse_torn_split
from neurofm.cohorts.sides import has_part
from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION, task_roles
from neurofm.config.objectives import SupervisedConfig
from neurofm.config.preparation import SplitConfig
from neurofm.data.label_checks import refuse_codes, require_labels
from neurofm.data.targets import Target, build_target, class_names, labels_of, task_strata
from neurofm.errors import RunError
from neurofm.models.head import HeadCard

_FEWEST_OF_A_CLASS = 3  # one for each of training, validation and test


@dataclass(frozen=True, eq=False)
class Task:
    """Labels of store rows and the part each plays.

    Attributes:
        head: what is predicted; a regression is scaled by the training part's mean and spread.
        values: number or place of the class, by row.
        weights: in the loss, by class; their mean over the training participants is 1.
        train: index rows to learn from.
        validation: index rows to choose the checkpoint by.
        test: index rows that training never reads.
        notes: who was left out, in plain words.
    """

    head: HeadCard
    values: Mapping[int, float]
    weights: tuple[float, ...]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    notes: tuple[str, ...]


def build_task(index: pd.DataFrame, config: SupervisedConfig, split: SplitConfig) -> Task:
    """Read the labels of an index and divide its people.

    Args:
        index: of a store; its labels are the store's rows.
        config: target and how it is scaled and weighted.
        split: shares of the parts (see `task_roles`), and whether people may be left out.

    Raises:
        TableError: see `require_told`.
        LeakageError: the split puts one person on two sides.
        RunError: a part has no labelled scan, or training has one class only.
    """
    refuse_torn_split(index)
    require_told(index, config, split)
    return build_told_task(index, config, split)


def build_told_task(index: pd.DataFrame, config: SupervisedConfig, split: SplitConfig) -> Task:
    """The same of an index that is known to say what the task asks of it.

    Raises:
        RunError: as `build_task`.
    """
    pool = _pool(index, config, split)
    target = build_target(pool, config.target, _FEWEST_OF_A_CLASS, config.classes)
    labelled = pool.iloc[target.rows]
    strata = pd.Series(task_strata(target), index=labelled.index)
    roles = task_roles(labelled, strata, split)
    parts = {role: labelled[roles == role] for role in (TRAIN, VALIDATION, TEST)}
    for role in (TRAIN, VALIDATION):
        if parts[role].empty:
            raise RunError(
                f"no scan with '{config.target}' is in the part '{role}'",
                "label more participants, or see the split of the index",
                "objective.target",
            )
    values = {
        int(row): float(value) for row, value in zip(labelled.index, target.values, strict=True)
    }
    head, weights = _head(target, parts, values, config)
    return Task(head, values, weights, parts[TRAIN], parts[VALIDATION], parts[TEST], target.notes)


def require_told(index: pd.DataFrame, config: SupervisedConfig, split: SplitConfig) -> None:
    """See that an index says what a task asks of it, before anything is prepared or trained.

    Raises:
        TableError: no such column; labels that may be codes of classes which are not named;
            people of the task without a label, where `split.drop_unlabelled` does not let them go.
    """
    pool = _of_cohorts(index, split)
    if not config.classes:
        refuse_codes(pool, config.target)
    if not split.drop_unlabelled:
        require_labels(pool[has_part(pool)], config.target)


def _of_cohorts(index: pd.DataFrame, split: SplitConfig) -> pd.DataFrame:
    return index[index["cohort"].isin(split.task_cohorts)] if split.task_cohorts else index


def _pool(index: pd.DataFrame, config: SupervisedConfig, split: SplitConfig) -> pd.DataFrame:
    """The rows that the task is about, those without a label among them."""
    pool = _of_cohorts(index, split)
    labels = class_names(labels_of(pool, config.target))
    is_named = labels.isin(config.classes)
    if config.classes:
        pool = pool[is_named | labels.isna()]
    if pool.empty or (config.classes and not is_named.any()):
        raise RunError(
            "no scan is of the task's cohorts and classes",
            f"the store's cohorts are {', '.join(sorted(set(index['cohort'])))}",
            "split.task_cohorts, objective.classes",
        )
    return pool


def _head(
    target: Target,
    parts: Mapping[str, pd.DataFrame],
    values: Mapping[int, float],
    config: SupervisedConfig,
) -> tuple[HeadCard, tuple[float, ...]]:
    train = parts[TRAIN]
    people = participant_keys(train)
    known = np.array([values[int(row)] for row in train.index])
    share = 1.0 / people.map(people.value_counts()).to_numpy(dtype=np.float64)
    head = HeadCard(
        target=target.task,
        kind=target.kind,
        classes=target.classes,
        train_participants=int(people.nunique()),
        validation_participants=int(participant_keys(parts[VALIDATION]).nunique()),
    )
    if target.kind == "regression":
        if not config.standardise_target:
            return head, ()
        mean = float(np.average(known, weights=share))
        spread = float(np.sqrt(np.average((known - mean) ** 2, weights=share)))
        return head.model_copy(update={"mean": mean, "spread": spread or 1.0}), ()
    counts = np.bincount(known.astype(int), share, len(target.classes))
    absent = [name for name, count in zip(target.classes, counts, strict=True) if not count]
    if absent:
        raise RunError(
            f"the training part has no participant of class '{absent[0]}'",
            "see the split of the index",
            "objective.target",
        )
    if config.class_weights == "none":
        return head, (1.0,) * len(counts)
    balanced = counts.sum() / (len(counts) * counts)
    return head, tuple(float(each) for each in balanced)
