"""The site as a task that every study has, so that a reader sees what encoders know of scanners."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from neurofm.cohorts.task_roles import TEST, VALIDATION
from neurofm.config.preparation import SplitConfig
from neurofm.config.study import StudyConfig
from neurofm.data.targets import SITE_TASK, site_labels
from neurofm.evaluation.parts import PartedTask, divide
from neurofm.models.card import Card
from neurofm.models.suitability import check_overlap


def site_task(
    study: StudyConfig, frame: pd.DataFrame, split: SplitConfig, cards: Iterable[Card], seen: bool
) -> tuple[PartedTask | None, tuple[str, ...]]:
    """Divide a study's people to tell their sites apart; what a reader must know where that fails.

    Args:
        study: asks for the site itself, or not.
        frame: index rows of the study's scans, labelled as in the index.
        split: how the study's tasks are divided.
        cards: of the study's encoders.
        seen: whether people that an encoder has seen may be tested.

    Returns:
        the task, its rows labels of `frame`; None with fewer than two sites, without an encoder,
        where the study has such a task already, and where there is a warning.
    """
    known, asked = tuple(cards), {name for task in study.tasks for name in (task.name, task.target)}
    if not known or SITE_TASK in asked or site_labels(frame).nunique() < 2:
        return None, ()
    everybody = split.model_copy(update={"task_cohorts": (), "task_train_fraction": 1.0})
    task = divide(frame, SITE_TASK, everybody)
    if task.why_not:
        return None, (f"Site predictability: {task.why_not}.",)
    judged = frame.loc[task.target.rows[task.part(TEST) | task.part(VALIDATION)]]
    if not seen and any(check_overlap(card, judged, allowed=True)[0] for card in known):
        return None, ("Site predictability: not evaluated: an encoder has seen its test people.",)
    return task, ()
