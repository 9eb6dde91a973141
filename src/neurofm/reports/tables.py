"""The result tables, as the page, the Markdown file, the CSV file and the terminal show them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from neurofm.data.targets import SITE_TASK
from neurofm.evaluation.baselines import PRETRAINED
from neurofm.evaluation.record import TaskRecord
from neurofm.reports.words import (
    gain,
    interval,
    metric_title,
    number,
    p_value,
    task_title,
    task_unit,
)

_AGAINST = "{} is better by"
# To tell sites apart is no merit: nothing is the best there.
_AGAINST_SITE = "{} tells them better by"
# In a table of their own: what is said of probabilities and decisions, and what is no merit.
_DETAILS = (
    "sensitivity", "specificity", "calibration intercept", "calibration slope",
    "calibration error", "corrected MAE", "corrected bias slope",
)  # fmt: skip
_DETAILS_TITLES = {
    "binary": "Decisions and probabilities",
    "multiclass": "Probabilities",
    "regression": "With the age bias taken out: no accuracy, it uses the true age",
}
_ARROWS = {
    "higher": "\N{NO-BREAK SPACE}↑",
    "lower": "\N{NO-BREAK SPACE}↓",
    "none": "",
    "near 0": "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}0",
    "near 1": "\N{NO-BREAK SPACE}→\N{NO-BREAK SPACE}1",
}
_CSV_COLUMNS = [
    "task", "model", "metric", "better", "value", "seeds_sd", "low", "high", "interval", "seeds",
    "participants", "positives", "note",
]  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One value: the mean over repeats, its interval, its spread, and whether it is the best."""

    label: str
    value: str
    interval: str = ""
    spread: str = ""
    note: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One model of a table.

    Attributes:
        model: its name.
        cells: its values.
        reason: why there are none in the columns that the cells leave.
    """

    model: str
    cells: tuple[Cell, ...]
    reason: str = ""


@dataclass(frozen=True)
class TaskTable:
    """The table of one task.

    Attributes:
        task: its record.
        title: its heading.
        columns: heading of each cell, with an arrow to where better is.
        rows: one a model.
        details: of the models' probabilities and decisions, or of corrected ages; None where there
            are none.
        heading: of what a row is.
    """

    task: TaskRecord
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    details: TaskTable | None = None
    heading: str = "Model"

    @property
    def participants(self) -> str:
        """How many people the table is about, in words."""
        return f"{self.task.participants} {'test ' * self.has_parts}participants"

    @property
    def has_parts(self) -> bool:
        """Whether the table is about a test part, models having learnt from another one."""
        return self.task.train_participants > 0


def task_tables(
    results: pd.DataFrame,
    comparisons: pd.DataFrame,
    tasks: Sequence[TaskRecord],
    units: Mapping[str, str] | None = None,
) -> tuple[TaskTable, ...]:
    """One table for each task that has results, in the order of the tasks.

    Args:
        results: of all tasks.
        comparisons: of all tasks; without rows where none are to be shown.
        tasks: which.
        units: of numbers, by task, where the tasks' names do not tell.
    """
    present = [(task, results[results["task"] == task.task]) for task in tasks]
    return tuple(
        _table(rows, comparisons, task, task_unit(task.task, (units or {}).get(task.task, "")))
        for task, rows in present
        if not rows.empty
    )


def as_markdown(tables: Sequence[TaskTable]) -> str:
    """The tables as Markdown: value, interval in brackets, spread over seeds after ±."""
    parts = []
    for table in tables:
        parts.append(f"## {table.title}\n\n{table.participants}\n")
        parts += markdown_table(table)
        if table.details:
            parts.append(f"{table.details.title}\n")
            parts += markdown_table(table.details)
    return "\n".join(parts)


def card_tables(tables: Sequence[TaskTable]) -> str:
    """The tables as a model card has them: headings of the third level, one for each task."""
    return "\n".join(line for table in tables for line in _card_table(table))


def markdown_table(table: TaskTable) -> list[str]:
    """The lines of one table as Markdown, an empty one last."""
    lines = [f"| {table.heading.lower()} | " + " | ".join(table.columns) + " |"]
    lines.append("| --- " * (1 + len(table.columns)) + "|")
    for row in table.rows:
        cells = [_markdown_cell(cell) for cell in row.cells]
        if row.reason:
            left = len(table.columns) - len(cells)
            cells += [f"n/a ({row.reason})", *["n/a"] * (left - 1)]
        lines.append(f"| {row.model} | {' | '.join(cells)} |")
    return [*lines, ""]


def _card_table(table: TaskTable) -> Iterator[str]:
    people = "" if table.heading == "Part" else f" ({table.participants})"
    yield f"### {table.title}{people}\n"
    yield from markdown_table(table)
    if table.details:
        yield f"{table.details.title}\n"
        yield from markdown_table(table.details)


def as_csv(results: pd.DataFrame) -> str:
    """All results as CSV, one metric a line."""
    return results.reindex(columns=_CSV_COLUMNS).to_csv(index=False)


def _table(
    of_task: pd.DataFrame, comparisons: pd.DataFrame, task: TaskRecord, unit: str
) -> TaskTable:
    is_detail = of_task["metric"].isin(_DETAILS)
    columns, rows = _columns_and_rows(of_task[~is_detail], task, unit)
    if not comparisons.empty:
        against = (_AGAINST_SITE if task.task == SITE_TASK else _AGAINST).format(_ours(comparisons))
        columns = (*columns, against)
        rows = tuple(
            Row(row.model, (*row.cells, _comparison(comparisons, task.task, row.model, against)))
            for row in rows
        )
    details = None
    if is_detail.any():
        details = TaskTable(
            task, _DETAILS_TITLES[task.kind], *_columns_and_rows(of_task[is_detail], task, unit)
        )
    return TaskTable(task, task_title(task.task), columns, rows, details)


def _columns_and_rows(
    results: pd.DataFrame, task: TaskRecord, unit: str
) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    is_site = task.task == SITE_TASK
    metrics = results.drop_duplicates("metric")
    labels = tuple(
        metric_title(metric, unit) + ("" if is_site else _ARROWS[better])
        for metric, better in zip(metrics["metric"], metrics["better"], strict=True)
    )
    best = {} if is_site else {str(name): _best(rows) for name, rows in results.groupby("metric")}
    rows = []
    for model, of_model in results.groupby("model", sort=False):
        cells = [
            _cell(record, label, best)
            for record, label in zip(_records(of_model), labels, strict=True)
        ]
        rows.append(Row(str(model), tuple(cells)))
    return labels, tuple(rows)


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _cell(record: dict[str, object], label: str, best: dict[str, str]) -> Cell:
    metric = str(record["metric"])
    mean = _float(record["value"])
    value = number(mean, metric)
    spread = number(_float(record["seeds_sd"]), metric, mean)
    return Cell(
        label=label,
        value=value,
        interval=interval(_float(record["low"]), _float(record["high"]), metric, mean),
        spread="" if "n/a" in (spread, value) else f"±{spread}",
        note=str(record["note"] or ""),
        best=value == best.get(metric),
    )


def _ours(comparisons: pd.DataFrame) -> str:
    """The model that the others are compared with, as a heading begins."""
    if comparisons["model"].iloc[0] == PRETRAINED:
        return "Pre-trained"
    name = str(comparisons["model"].iloc[0])
    return name[:1].upper() + name[1:]


def _best(rows: pd.DataFrame) -> str:
    """The best value as it is printed, so that what looks equal is treated alike.

    Sensitivity and specificity are bought with each other, and a calibration line has no best.
    """
    if rows["metric"].iloc[0] in _DETAILS or rows["better"].iloc[0] not in ("lower", "higher"):
        return ""
    lower = rows["better"].iloc[0] == "lower"
    value = rows["value"].min() if lower else rows["value"].max()
    text = number(_float(value), str(rows["metric"].iloc[0]))
    return "" if text == "n/a" else text


def _comparison(comparisons: pd.DataFrame, task: str, model: str, label: str) -> Cell:
    found = comparisons[(comparisons["task"] == task) & (comparisons["against"] == model)]
    if found.empty:
        return Cell(label, "")
    (record,) = _records(found)
    metric, mean = str(record["metric"]), _float(record["gain"])
    return Cell(
        label=f"{label} ({metric})",
        value=gain(mean, metric),
        interval=interval(_float(record["low"]), _float(record["high"]), metric, mean),
        note=p_value(_float(record["p_holm"])),
    )


def _markdown_cell(cell: Cell) -> str:
    value = f"**{cell.value}**" if cell.best else cell.value
    bracket = f" [{cell.interval}]" if cell.interval else ""
    note = f" ({cell.note})" if cell.note else ""
    return f"{value}{bracket} {cell.spread}".rstrip() + note


def _float(value: object) -> float:
    return float("nan") if value is None else float(str(value))
