"""The page of a study: its table, the paper's beside it, and a section for each task.

Self-contained, rebuilt from the study's Parquet files alone; it names no participant and no file.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from neurofm.config.study import TaskOfStudy
from neurofm.evaluation.record import TaskRecord
from neurofm.files import write_bytes, write_text
from neurofm.models.embeddings import read_embeddings
from neurofm.reports.card_facts import write_study_card
from neurofm.reports.drawing import as_svg
from neurofm.reports.figures import calibration_figure, intervals_figure, task_figure
from neurofm.reports.maps import Maps, maps_of
from neurofm.reports.study_figures import efficiency_figure
from neurofm.reports.study_latex import as_latex
from neurofm.reports.study_table import (
    SavedStudy,
    StudyTable,
    as_csv,
    as_markdown,
    read_saved_study,
    table_of,
)
from neurofm.reports.subgroup_tables import left_out_sites_table, subgroup_tables
from neurofm.reports.tables import TaskTable, task_tables
from neurofm.reports.templates import page_template
from neurofm.reports.words import gain, interval, p_value
from neurofm.study.record import embeddings_file, encoder_probe

STUDY_PAGE = "report.html"
_FIGURES = "figures"
_DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Versus:
    """The study's own model against another one, on the same people."""

    model: str
    gain: str
    interval: str
    p: str


@dataclass(frozen=True)
class TaskSection:
    """One task on the page."""

    task: TaskOfStudy
    record: TaskRecord
    people: str
    efficiency: str
    intervals: str
    figure: str
    calibration: str
    versus: tuple[Versus, ...]
    metrics: TaskTable
    subgroups: TaskTable | None
    left_out: TaskTable | None


@dataclass(frozen=True)
class SiteSection:
    """What the encoders tell of the site."""

    record: TaskRecord
    table: TaskTable
    intervals: str
    figure: str


@dataclass(frozen=True)
class EncoderMap:
    """What an encoder's features look like on two axes."""

    encoder: str
    maps: Maps


def write_study_page(folder: Path, page: Path | None = None) -> Path:
    """Write `report.html`, `MODEL_CARD.md`, `table2.md`, `.csv`, `.tex`, and `figures/`.

    Where the whole training part is the only share there is no `figures/`.

    Args:
        folder: of a finished study.
        page: the HTML file; `report.html` in the folder where not given.

    Returns:
        the page.

    Raises:
        RunError: the folder is no finished study, or a table in it is damaged.
    """
    saved = read_saved_study(folder)
    table, page = table_of(saved), page or folder / STUDY_PAGE
    efficiency = {}
    for task in saved.record.study.tasks if len(saved.record.study.fractions) > 1 else ():
        figure, name = efficiency_figure(saved, task), f"efficiency-{task.name}"
        _save(figure, page.parent / _FIGURES / f"data-{name}")
        efficiency[task.name] = as_svg(figure, name, f"{task.title} over the share of training")
    sections = [
        _section(saved, task, record, efficiency.get(task.name, ""))
        for task, record in zip(saved.record.study.tasks, saved.record.asked, strict=True)
    ]
    write_text(page, _render(saved, table, sections, _maps(folder, saved)))
    for ending, text in (
        ("md", as_markdown(table)), ("csv", as_csv(table)), ("tex", as_latex(table)),
    ):  # fmt: skip
        write_text(page.parent / f"table2.{ending}", text)
    write_study_card(saved, page.parent)
    return page


def _section(
    saved: SavedStudy, task: TaskOfStudy, record: TaskRecord, efficiency: str
) -> TaskSection:
    whole = saved.results[saved.results["fraction"] == 1]
    predictions = saved.predictions[saved.predictions["fraction"] == 1]
    first = saved.record.study.first
    models = [first, *(m.name for m in saved.record.study.models if m.name != first)]
    return TaskSection(
        task=task,
        record=record,
        people=_people(record),
        efficiency=efficiency,
        intervals=intervals_figure(whole, record, models, task.unit),
        figure=task_figure(predictions, record, models, task.unit),
        calibration=calibration_figure(saved.calibration, record, models),
        versus=_versus(saved.comparisons, task.name),
        metrics=_metrics(saved, record, {task.name: task.unit}),
        subgroups=subgroup_tables(saved.subgroups, record, task.unit),
        left_out=left_out_sites_table(saved.subgroups, record, task.unit),
    )


def _metrics(saved: SavedStudy, record: TaskRecord, units: Mapping[str, str]) -> TaskTable:
    whole = saved.results[saved.results["fraction"] == 1]
    return task_tables(whole, saved.comparisons.iloc[:0], [record], units)[0]


def _site(saved: SavedStudy) -> SiteSection | None:
    record = saved.record.site
    if record is None:
        return None
    models = [encoder_probe(encoder.model) for encoder in saved.record.encoders]
    return SiteSection(
        record=record,
        table=_metrics(saved, record, {}),
        intervals=intervals_figure(saved.results, record, models),
        figure=task_figure(saved.predictions, record, models),
    )


def _people(record: TaskRecord) -> str:
    text = (
        f"{record.train_participants} participants in training, "
        f"{record.validation_participants} in validation, {record.participants} in the test"
    )
    if record.positives is None:
        return text
    return f"{text}, {record.positives} of them {record.classes[-1]}"


def _versus(comparisons: pd.DataFrame, task: str) -> tuple[Versus, ...]:
    if comparisons.empty:
        return ()
    return tuple(
        Versus(
            model=str(row["against"]),
            gain=gain(float(row["gain"]), str(row["metric"])),
            interval=interval(
                float(row["low"]), float(row["high"]), str(row["metric"]), float(row["gain"])
            ),
            p=p_value(float(row["p_holm"])),
        )
        for _, row in comparisons[comparisons["task"] == task].iterrows()
    )


def _maps(folder: Path, saved: SavedStudy) -> list[EncoderMap]:
    targets = [task.target for task in saved.record.study.tasks]
    maps = []
    for encoder in saved.record.encoders:
        path = folder / embeddings_file(encoder.model)
        if path.is_file():
            labels, embeddings = read_embeddings(path, saved.record.contract_fingerprint)
            shown = labels.reset_index(drop=True)
            features, name = embeddings.astype(np.float64), f"map-{encoder.model}"
            maps.append(EncoderMap(encoder.model, maps_of(shown, features, targets, name)))
    return maps


def _render(
    saved: SavedStudy, table: StudyTable, sections: list[TaskSection], maps: list[EncoderMap]
) -> str:
    record = saved.record
    return page_template("study_page.html.j2").render(
        record=record,
        study=record.study,
        table=table,
        sections=sections,
        site=_site(saved),
        is_earlier=not saved.has_left_out,
        maps=maps,
        hours=record.seconds_of_cells / 3600,
        participants=sum(record.participants_by_cohort.values()),
        scans=sum(record.scans_by_cohort.values()),
    )


def _save(figure: Figure, stem: Path) -> None:
    for ending in ("svg", "png"):
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if ending == "svg" else {"Software": None}
        figure.savefig(
            buffer, format=ending, dpi=_DOTS_PER_INCH, facecolor="white", metadata=metadata
        )
        write_bytes(stem.with_suffix(f".{ending}"), buffer.getvalue())
