"""The people of a task in three parts, as training divides them: to fit, to choose, to test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.leakage import refuse_torn_split
from neurofm.cohorts.sides import has_part
from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.objectives import SupervisedConfig
from neurofm.config.preparation import SplitConfig
from neurofm.data.targets import SITE_TASK, Target, build_target
from neurofm.errors import RunError
from neurofm.training.task import Task, build_told_task, require_told

_ROLES = (TRAIN, VALIDATION, TEST)
_FEWEST = 3  # participants of a class: one for each part


@dataclass(frozen=True, eq=False)
class PartedTask:
    """A task and the part each of its scans plays.

    Attributes:
        target: of all three parts; its `rows` are places in the evaluated frame.
        roles: "train", "validation" or "test" of each scan of `target`.
        why_not: why the task has no results, in plain words; empty where it has.
    """

    target: Target
    roles: np.ndarray
    why_not: str = ""

    def part(self, role: str) -> Bool[np.ndarray, " scans"]:
        """Which scans of the target play a part."""
        return np.asarray(self.roles == role)

    def target_of(self, role: str) -> Target:
        """The target of one part alone."""
        chosen = self.part(role)
        keys = np.asarray(self.target.keys, dtype=object)[chosen]
        return replace(
            self.target,
            rows=self.target.rows[chosen],
            values=self.target.values[chosen],
            participants=_numbered(keys),
            keys=tuple(keys),
        )

    def placed(self, rows: Int[np.ndarray, " frame"]) -> PartedTask:
        """The same, for a frame that holds these rows, ascending, of the present one."""
        target = replace(self.target, rows=np.searchsorted(rows, self.target.rows))
        return replace(self, target=target)


def divide(
    index: pd.DataFrame, name: str, split: SplitConfig, classes: tuple[str, ...] = ()
) -> PartedTask:
    """The parts of a task, the very ones that `neurofm train` learns from and leaves alone.

    Args:
        index: of a store.
        name: an index column, or "site".
        split: cohorts, shares of the parts and their seed (see `task_roles`).
        classes: the only ones the task is about; empty for all.

    Raises:
        TableError: see `require_told`.
        LeakageError: the index puts one person into two parts.
    """
    return divide_shares(index, name, split, (split.task_train_fraction,), classes)[0]


def divide_shares(
    index: pd.DataFrame,
    name: str,
    split: SplitConfig,
    fractions: Sequence[float],
    classes: tuple[str, ...] = (),
) -> list[PartedTask]:
    """The same for several shares of the training part, what the index lacks being found once.

    Args:
        index: as in `divide`.
        name: as in `divide`.
        split: as in `divide`, but for the share.
        fractions: shares of the training part.
        classes: as in `divide`.
    """
    pool = index[has_part(index)] if name == SITE_TASK else index
    config = SupervisedConfig(target=name, classes=classes)
    refuse_torn_split(pool)
    require_told(pool, config, split)
    shares = [split.model_copy(update={"task_train_fraction": share}) for share in fractions]
    return [_divided(pool, config, share) for share in shares]


def _divided(pool: pd.DataFrame, config: SupervisedConfig, split: SplitConfig) -> PartedTask:
    name, classes = config.target, config.classes
    try:
        task = build_told_task(pool, config, split)
    except RunError as error:
        target = build_target(pool, name, _FEWEST, classes)
        roles = np.full(len(target.rows), None, dtype=object)
        nobody = PartedTask(target, roles).target_of(TEST)
        return PartedTask(nobody, roles[:0], f"not evaluated: {error.what}")
    return _parted(name, task)


def _parted(name: str, task: Task) -> PartedTask:
    parts = {TRAIN: task.train, VALIDATION: task.validation, TEST: task.test}
    frame = pd.concat(parts.values())
    roles = np.repeat(np.array(_ROLES, dtype=object), [len(parts[role]) for role in _ROLES])
    order = np.argsort(frame.index.to_numpy(), kind="stable")
    frame = frame.iloc[order]
    keys = participant_keys(frame).astype(str).to_numpy()
    target = Target(
        task=name,
        kind=task.head.kind,
        rows=frame.index.to_numpy().astype(np.int64),
        values=np.array([task.values[int(row)] for row in frame.index]),
        classes=task.head.classes,
        participants=_numbered(keys),
        keys=tuple(keys),
        notes=task.notes,
    )
    parted = PartedTask(target, roles[order])
    return replace(parted, why_not=_why_not(parted.target_of(TEST)))


def _why_not(test: Target) -> str:
    if not len(test.rows):
        return "not evaluated: nobody with a label is in the test part"
    if test.kind != "regression" and len(np.unique(test.values)) < 2:
        only = test.classes[int(test.values[0])]
        return f"not evaluated: the test part has only '{only}'"
    return ""


def _numbered(keys: np.ndarray) -> Int[np.ndarray, " scans"]:
    return np.unique(keys.astype(str), return_inverse=True)[1].astype(np.int64)
