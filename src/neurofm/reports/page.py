"""The report: one self-contained page, and its tables as Markdown and CSV, from saved results.

Nothing is computed again but the tables' order, and nothing on the page names a participant or a
file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurofm.evaluation.record import (
    CALIBRATION,
    COMPARISONS,
    EMBEDDINGS,
    PREDICTIONS,
    RESULTS,
    SUBGROUPS,
    EvaluationRecord,
    read_record,
)
from neurofm.evaluation.saved_tables import read_table
from neurofm.files import write_text
from neurofm.models.comparable import require_comparable
from neurofm.reports.card_facts import write_evaluation_card
from neurofm.reports.figures import calibration_figure, intervals_figure, loss_figure, task_figure
from neurofm.reports.maps import Maps, maps_of
from neurofm.reports.recipe_text import recipe_to_show
from neurofm.reports.subgroup_tables import left_out_sites_table, subgroup_tables
from neurofm.reports.tables import TaskTable, as_csv, as_markdown, task_tables
from neurofm.reports.templates import page_template
from neurofm.reports.training_log import LossCurve, read_loss_curve


@dataclass(frozen=True, eq=False)
class Saved:
    """A finished evaluation as it lies on disk.

    Attributes:
        record: of `evaluation.json`.
        results: `results.parquet`.
        comparisons: `comparisons.parquet`; no columns where there was nothing to compare.
    """

    record: EvaluationRecord
    results: pd.DataFrame
    comparisons: pd.DataFrame


@dataclass(frozen=True)
class Section:
    """One task on the page."""

    table: TaskTable
    intervals: str
    figure: str
    calibration: str
    subgroups: TaskTable | None
    left_out: TaskTable | None


def read_evaluation(folder: Path) -> Saved:
    """Read the record and the tables of a finished evaluation.

    Raises:
        RunError: the folder is no finished evaluation, or a table in it is damaged.
    """
    record = read_record(folder)
    return Saved(record, read_table(folder / RESULTS), read_table(folder / COMPARISONS))


def tables_of(saved: Saved) -> tuple[TaskTable, ...]:
    """The result tables of an evaluation."""
    return task_tables(saved.results, saved.comparisons, saved.record.tasks)


def write_report(evaluation: Path, run: Path | None, page: Path) -> Path:
    """Write the page and, beside it, `results.md`, `results.csv` and `MODEL_CARD.md`.

    Args:
        evaluation: folder of a finished evaluation.
        run: pre-training run, for its loss curve; None leaves it out.
        page: the HTML file.

    Returns:
        `page`.

    Raises:
        RunError: the folder is no finished evaluation, or a table in it is damaged.
        ContractError: its embeddings are of another preprocessing than the evaluation.
    """
    saved = read_evaluation(evaluation)
    predictions = read_table(evaluation / PREDICTIONS)
    subgroups = _read_if_there(evaluation / SUBGROUPS)
    curves = _read_if_there(evaluation / CALIBRATION)
    tables, models = tables_of(saved), saved.record.models
    sections = [
        Section(
            table,
            intervals_figure(saved.results, table.task, models),
            task_figure(predictions, table.task, models),
            calibration_figure(curves, table.task, models),
            subgroup_tables(subgroups, table.task),
            left_out_sites_table(subgroups, table.task),
        )
        for table in tables
    ]
    curve = read_loss_curve(run) if run else None
    write_text(page, _render(saved.record, sections, _maps(evaluation, saved.record), curve))
    write_text(page.parent / "results.md", as_markdown(tables))
    write_text(page.parent / "results.csv", as_csv(saved.results))
    write_evaluation_card(evaluation, page.parent)
    return page


def _render(
    record: EvaluationRecord,
    sections: list[Section],
    maps: Maps,
    curve: LossCurve | None,
) -> str:
    return page_template("page.html.j2").render(
        record=record,
        ours=record.models[0],
        is_trained=any(each.target for each in record.weights),
        sections=sections,
        maps=maps,
        skipped=_without_results(record, sections),
        curve=curve,
        loss=loss_figure(curve.epochs, curve.losses) if curve else "",
        recipe=recipe_to_show(record.recipe),
    )


def _without_results(record: EvaluationRecord, sections: list[Section]) -> list[str]:
    shown = {section.table.task.task for section in sections}
    return [
        f"{task.task}: {'; '.join(task.notes)}" for task in record.tasks if task.task not in shown
    ]


def _maps(evaluation: Path, record: EvaluationRecord) -> Maps:
    table = read_table(evaluation / EMBEDDINGS)
    usable = table[table["embedding"].notna()].reset_index(drop=True)
    require_comparable(usable, record.contract_fingerprint, evaluation / EMBEDDINGS)
    embeddings = np.stack(usable["embedding"].to_list()).astype(np.float64)
    targets = [task.task for task in record.tasks]
    return maps_of(usable.drop(columns="embedding"), embeddings, targets)


def _read_if_there(path: Path) -> pd.DataFrame:
    """A table that evaluations of earlier versions lack; without columns then."""
    return read_table(path) if path.is_file() else pd.DataFrame()
