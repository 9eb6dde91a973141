"""The table of a study: models down, tasks across, the paper's values beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.table import Table

from neurofm.config.study import TaskOfStudy
from neurofm.evaluation.saved_tables import read_table
from neurofm.reports.words import interval, metric_title, number
from neurofm.study.published import Published, published
from neurofm.study.record import (
    CALIBRATION,
    COMPARISONS,
    LEFT_OUT,
    PREDICTIONS,
    RESULTS,
    SUBGROUPS,
    StudyRecord,
    read_study,
)

_ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True, eq=False)
class SavedStudy:
    """A finished study as it lies on disk.

    Attributes:
        record: of `study.json`.
        results: `results.parquet`, for every share of the training part.
        comparisons: `comparisons.parquet`, with the whole training part.
        predictions: `predictions.parquet`.
        calibration: `calibration.parquet`.
        subgroups: `subgroups.parquet`.
        has_left_out: whether `left_out_sites.parquet` is there, which earlier versions lack.
    """

    record: StudyRecord
    results: pd.DataFrame
    comparisons: pd.DataFrame
    predictions: pd.DataFrame
    calibration: pd.DataFrame
    subgroups: pd.DataFrame
    has_left_out: bool


@dataclass(frozen=True)
class StudyCell:
    """One value of the table.

    Attributes:
        mean: over runs.
        sd: over runs; NaN of a single one.
        low: end of the interval.
        high: other end.
        runs: how many.
        paper: what the paper reports; None where nothing.
        metric: of the value.
        is_best: among the models of the study, by what is printed.
    """

    mean: float
    sd: float
    low: float
    high: float
    runs: int
    paper: Published | None
    metric: str
    is_best: bool = False

    @property
    def value(self) -> str:
        """The mean and, of several runs, the standard deviation over them."""
        mean, sd = number(self.mean, self.metric), number(self.sd, self.metric, self.mean)
        return mean if "n/a" in (mean, sd) else f"{mean} ± {sd}"

    @property
    def interval(self) -> str:
        """The interval over participants; empty where there is none."""
        return interval(self.low, self.high, self.metric, self.mean)

    @property
    def published(self) -> str:
        """The paper's value; empty where there is none."""
        if self.paper is None:
            return ""
        mean = number(self.paper.mean, self.metric)
        return f"{mean} ± {number(self.paper.sd, self.metric, self.paper.mean)}"


@dataclass(frozen=True)
class StudyRow:
    """One model: a cell for each task, None where it has no result."""

    model: str
    cells: tuple[StudyCell | None, ...]
    is_baseline: bool


@dataclass(frozen=True)
class StudyTable:
    """The table.

    Attributes:
        tasks: across.
        headings: title, metric with unit and which way is better, of each task.
        rows: the study's models, then the baselines.
    """

    tasks: tuple[TaskOfStudy, ...]
    headings: tuple[str, ...]
    rows: tuple[StudyRow, ...]

    @property
    def has_published(self) -> bool:
        """Whether the paper has values for any cell."""
        return any(cell and cell.paper for row in self.rows for cell in row.cells)


def read_saved_study(folder: Path) -> SavedStudy:
    """Read a finished study.

    Raises:
        RunError: the folder is no finished study, or a table in it is damaged.
    """
    return SavedStudy(
        record=read_study(folder),
        results=read_table(folder / RESULTS),
        comparisons=read_table(folder / COMPARISONS),
        predictions=read_table(folder / PREDICTIONS),
        calibration=read_table(folder / CALIBRATION),
        subgroups=read_table(folder / SUBGROUPS),
        has_left_out=(folder / LEFT_OUT).is_file(),
    )


def headline(results: pd.DataFrame, task: str) -> pd.DataFrame:
    """The rows of a task's first metric, by which models are compared."""
    of_task = results[results["task"] == task]
    rows: pd.DataFrame = of_task[of_task["metric"] == of_task["metric"].iloc[0]]
    return rows


def table_of(saved: SavedStudy) -> StudyTable:
    """The table of a study with the whole training part."""
    study, whole = saved.record.study, saved.results[saved.results["fraction"] == 1]
    asked = [model.name for model in study.models]
    of_tasks = whole[whole["task"].isin([task.name for task in study.tasks])]
    others = [name for name in of_tasks["model"].unique() if name not in asked]
    paper_rows = {model.name: model.published for model in study.models}
    columns = []
    for task in study.tasks:
        rows = headline(whole, task.name).set_index("model")
        best = _best(rows.loc[rows.index.isin(asked)])
        columns.append(
            {
                name: _cell(
                    rows.loc[name],
                    published(paper_rows.get(name), task.published),
                    best if name in asked else "",
                )
                for name in [*asked, *others]
                if name in rows.index
            }
        )
    return StudyTable(
        study.tasks,
        tuple(_heading(task, headline(whole, task.name)) for task in study.tasks),
        tuple(
            StudyRow(name, tuple(column.get(name) for column in columns), name in others)
            for name in [*asked, *others]
        ),
    )


def as_markdown(table: StudyTable) -> str:
    """Markdown: our value and interval, then the paper's in italics."""
    lines = [
        f"| model | {' | '.join(table.headings)} |",
        f"| --- {'| --- ' * len(table.headings)}|",
    ]
    for row in table.rows:
        cells = [_markdown(cell) for cell in row.cells]
        lines.append(f"| {row.model} | {' | '.join(cells)} |")
    if table.has_published:
        lines += ["", "In italics: the paper's Table 2, on its own cohorts."]
    return "\n".join([*lines, ""])


def as_csv(table: StudyTable) -> str:
    """CSV, a line for each model and task."""
    lines = [
        {
            "model": row.model,
            "task": task.name,
            "metric": cell.metric,
            "mean": cell.mean,
            "sd": cell.sd,
            "low": cell.low,
            "high": cell.high,
            "runs": cell.runs,
            "paper_mean": cell.paper.mean if cell.paper else None,
            "paper_sd": cell.paper.sd if cell.paper else None,
        }
        for row in table.rows
        for task, cell in zip(table.tasks, row.cells, strict=True)
        if cell is not None
    ]
    return pd.DataFrame(lines).to_csv(index=False)


def terminal_table(table: StudyTable) -> Table:
    """The table for a terminal: values and intervals."""
    shown = Table("model", *table.headings)
    for row in table.rows:
        cells = [f"{cell.value}\n{cell.interval}" if cell else "n/a" for cell in row.cells]
        shown.add_row(row.model, *cells)
    return shown


def _cell(row: pd.Series, paper: Published | None, best: str) -> StudyCell:
    metric, mean = str(row["metric"]), float(row["value"])
    return StudyCell(
        mean=mean,
        sd=float(row["seeds_sd"]),
        low=float(row["low"]),
        high=float(row["high"]),
        runs=int(row["seeds"]),
        paper=paper,
        metric=metric,
        is_best=number(mean, metric) == best,
    )


def _best(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    values = rows["value"]
    best = values.min() if rows["better"].iloc[0] == "lower" else values.max()
    return number(float(best), str(rows["metric"].iloc[0]))


def _heading(task: TaskOfStudy, rows: pd.DataFrame) -> str:
    metric, better = str(rows["metric"].iloc[0]), str(rows["better"].iloc[0])
    return f"{task.title}, {metric_title(metric, task.unit)} {_ARROWS[better]}"


def _markdown(cell: StudyCell | None) -> str:
    if cell is None:
        return "n/a"
    value = f"**{cell.value}**" if cell.is_best else cell.value
    bracket = f" [{cell.interval}]" if cell.interval else ""
    paper = f" *{cell.published}*" if cell.published else ""
    return f"{value}{bracket}{paper}"
