"""The facts of a model card, from a finished evaluation or study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from neurofm.evaluation.baselines import PRETRAINED
from neurofm.evaluation.record import (
    RESULTS,
    SUBGROUPS,
    EvaluationRecord,
    TaskRecord,
    read_record,
)
from neurofm.evaluation.saved_tables import read_table
from neurofm.files import write_text
from neurofm.models.checksums import MODEL_CARD_FILE
from neurofm.models.model_card import ModelCard, as_markdown
from neurofm.models.weights_record import WeightsRecord
from neurofm.reports.study_table import SavedStudy
from neurofm.reports.subgroup_tables import subgroup_tables
from neurofm.reports.tables import TaskTable, card_tables, task_tables
from neurofm.reports.words import task_title

_NO_COMPARISONS = pd.DataFrame()


def write_evaluation_card(folder: Path, beside: Path | None = None) -> Path:
    """Write the model card of a finished evaluation.

    Args:
        folder: of the evaluation.
        beside: the folder to write into; the evaluation's where not given.

    Raises:
        RunError: the folder is no finished evaluation, or a table in it is damaged.
    """
    record, parts = read_record(folder), folder / SUBGROUPS
    subgroups = read_table(parts) if parts.is_file() else pd.DataFrame()
    results = task_tables(read_table(folder / RESULTS), _NO_COMPARISONS, record.tasks)
    card = ModelCard(
        name=record.recipe.name,
        weights=record.weights or (_of_earlier(record),),
        spacing_mm=record.spacing_mm,
        contract=record.contract_fingerprint,
        preprocessing=record.preprocessing,
        participants=record.participants_by_cohort,
        results=card_tables(results),
        subgroups=card_tables(_subgroups(subgroups, record.tasks, task_title)),
        warnings=record.warnings,
        software=record.software,
    )
    return _write(card, beside or folder)


def write_study_card(saved: SavedStudy, beside: Path) -> Path:
    """Write the model card of a finished study.

    Args:
        saved: the study.
        beside: the folder to write into.
    """
    record, study = saved.record, saved.record.study
    whole = saved.results[saved.results["fraction"] == 1]
    units = {task.name: task.unit for task in study.tasks}
    results = task_tables(whole, _NO_COMPARISONS, record.tasks, units)
    titles = {task.task: task_title(task.task) for task in record.tasks}
    titles |= {task.name: task.title for task in study.tasks}
    card = ModelCard(
        name=study.name,
        weights=record.encoders,
        spacing_mm=record.spacing_mm,
        contract=record.contract_fingerprint,
        preprocessing=record.preprocessing,
        participants=record.participants_by_cohort,
        results=card_tables([replace(each, title=titles[each.task.task]) for each in results]),
        subgroups=card_tables(_subgroups(saved.subgroups, record.tasks, titles.__getitem__, units)),
        warnings=record.warnings,
        software=record.software,
    )
    return _write(card, beside)


def _write(card: ModelCard, folder: Path) -> Path:
    write_text(folder / MODEL_CARD_FILE, as_markdown(card))
    return folder / MODEL_CARD_FILE


def _subgroups(
    rows: pd.DataFrame,
    tasks: Iterable[TaskRecord],
    title_of: Callable[[str], str],
    units: Mapping[str, str] | None = None,
) -> tuple[TaskTable, ...]:
    found = (subgroup_tables(rows, task, (units or {}).get(task.task, "")) for task in tasks)
    return tuple(
        replace(table, title=f"{title_of(table.task.task)}. {table.title}")
        for table in found
        if table is not None
    )


def _of_earlier(record: EvaluationRecord) -> WeightsRecord:
    """The weights of an evaluation by a version that kept one set only."""
    return WeightsRecord(
        model=PRETRAINED,
        weights_sha256=record.weights_sha256,
        recipe_fingerprint=record.weights_recipe_fingerprint,
        encoder="not kept",
        features=record.features,
        target=None,
        overlap=record.pretrain_overlap,
    )
