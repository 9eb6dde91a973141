"""How often the test people of a study's tasks have been scored, this study included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.errors import RunError
from neurofm.evaluation.openings import OPENINGS, count_opening
from neurofm.evaluation.record import TaskRecord
from neurofm.files import fingerprint_of
from neurofm.study.cells import Cell
from neurofm.study.opened import OpenedStudy
from neurofm.study.record import StudyRecord, read_study


@dataclass(frozen=True)
class Counted:
    """The tasks with how often their people have been scored.

    Attributes:
        tasks: with their counts, None where nothing can be written beside the store.
        scored_by: of each counted task, a fingerprint of all that predicted its people.
        warnings: what a reader must know.
    """

    tasks: tuple[TaskRecord, ...]
    scored_by: dict[str, str]
    warnings: tuple[str, ...]


def count_scored(
    opened: OpenedStudy,
    tasks: Sequence[TaskRecord],
    predictions: pd.DataFrame,
    finished: Sequence[Cell],
    folder: Path,
) -> Counted:
    """Count this study as one scoring of each task, unless the folder has it counted already.

    The people count as those of an evaluation do, under the name of the index column. What the
    same models have predicted is the same scoring: one that was stopped and goes on, or is called
    again, adds none; another model, run or share adds one.

    Args:
        opened: the study.
        tasks: of the predictions.
        predictions: the table of `predictions.parquet`.
        finished: the cells whose predictions are among them.
        folder: of the study, as an earlier call left it.
    """
    before = _earlier(folder)
    known = {} if before is None else {task.task: task.scored for task in before.tasks}
    columns = {task.name: task.target for task in opened.study.tasks}
    told, scored_by = [], {}
    for task in tasks:
        of_task = predictions[predictions["task"] == task.task]
        own = _scored_by(opened, task, of_task, finished)
        if before is not None and before.scored_by.get(task.task) == own:
            count = known.get(task.task)
        else:
            column = columns.get(task.task, task.task)
            people = {column: of_task["scan_id"].unique().tolist()}
            counts = count_opening(opened.store, people, opened.study.fingerprint())
            count = None if counts is None else counts[column]
        told.append(task.model_copy(update={"scored": count}))
        if count is not None:
            scored_by[task.task] = own
    lacking = len(scored_by) < len(told)
    warning = f"{OPENINGS} in the store cannot be written: this scoring is not counted."
    return Counted(tuple(told), scored_by, (warning,) if lacking else ())


def _earlier(folder: Path) -> StudyRecord | None:
    """What the folder says of itself; None of a new one, or of another version's."""
    try:
        return read_study(folder)
    except RunError:
        return None


def _scored_by(
    opened: OpenedStudy, task: TaskRecord, of_task: pd.DataFrame, finished: Sequence[Cell]
) -> str:
    """Changes with the models, runs and shares of a task, and with what they have learnt from."""
    rows = of_task[["model", "fraction", "seed"]].drop_duplicates()
    return fingerprint_of(
        [
            sorted(f"{name} {share:g} {run}" for name, share, run in rows.itertuples(index=False)),
            sorted(cell.fingerprint() for cell in finished if cell.place.task == task.task),
            sorted(run.card.weights_sha256 for run in opened.encoders.values()),
            [opened.study.seed, opened.data],
        ]
    )
