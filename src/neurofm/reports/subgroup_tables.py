"""The tables of subgroups: a row for each part of the people, a column for each given model."""

from __future__ import annotations

import pandas as pd

from neurofm.evaluation.left_out_sites import GROUP
from neurofm.evaluation.record import TaskRecord
from neurofm.reports.tables import Cell, Row, TaskTable
from neurofm.reports.words import interval, metric_title, number, task_unit

_GROUPS = {"sex": "Sex", "age": "Age", "site": "Site", GROUP: "Site"}


def subgroup_tables(rows: pd.DataFrame, task: TaskRecord, unit: str = "") -> TaskTable | None:
    """The subgroups of one task; None where there are none.

    Args:
        rows: of all tasks, see `evaluation.subgroups.subgroup_table`.
        task: which.
        unit: of a number, where the task's name does not tell.
    """
    return _table(rows[rows["group"] != GROUP], task, "Subgroups", unit) if len(rows) else None


def left_out_sites_table(rows: pd.DataFrame, task: TaskRecord, unit: str = "") -> TaskTable | None:
    """Each site predicted by what was learnt at the others; None where there are too few.

    Args:
        rows: as for `subgroup_tables`.
        task: which.
        unit: as for `subgroup_tables`.
    """
    if not len(rows):
        return None
    return _table(rows[rows["group"] == GROUP], task, "One site left out", unit)


def _table(rows: pd.DataFrame, task: TaskRecord, title: str, unit: str) -> TaskTable | None:
    of_task = rows[rows["task"] == task.task]
    if of_task.empty:
        return None
    models = tuple(dict.fromkeys(of_task["model"]))
    metric = metric_title(str(of_task["metric"].iloc[0]), task_unit(task.task, unit))
    levels = of_task[["group", "level"]].drop_duplicates().itertuples(index=False)
    table_rows = [
        _row(
            f"{_GROUPS[group]} {level}",
            of_task[(of_task["group"] == group) & (of_task["level"] == level)],
        )
        for group, level in levels
    ]
    return TaskTable(
        task, f"{title}: {metric}", ("participants", *models), tuple(table_rows),
        heading="Part",
    )  # fmt: skip


def _row(part: str, of_level: pd.DataFrame) -> Row:
    people, positives = of_level["participants"].iloc[0], of_level["positives"].iloc[0]
    count = f"{people}" if pd.isna(positives) else f"{people}, {int(positives)} positive"
    reasons = set(of_level["note"].fillna("").astype(str))
    if of_level["value"].isna().all() and len(reasons) == 1:
        return Row(part, (Cell("participants", count),), reasons.pop())
    return Row(part, (Cell("participants", count), *(_cell(row) for _, row in of_level.iterrows())))


def _cell(row: pd.Series) -> Cell:
    metric, value = str(row["metric"]), float(row["value"])
    return Cell(
        label=str(row["model"]),
        value=number(value, metric),
        interval=interval(float(row["low"]), float(row["high"]), metric, value),
        note=str(row["note"] or ""),
    )
