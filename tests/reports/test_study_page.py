"""The table, figures and page of a study, from saved tables alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.config.study import StudyConfig
from neurofm.errors import RunError
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.results import tabulate
from neurofm.evaluation.subgroups import subgroup_table
from neurofm.reports.study_page import write_study_page
from neurofm.reports.study_table import (
    as_csv,
    as_latex,
    as_markdown,
    read_saved_study,
    table_of,
)
from neurofm.study.published import METRICS, TABLE_2
from neurofm.study.record import (
    CALIBRATION,
    COMPARISONS,
    PREDICTIONS,
    RESULTS,
    SUBGROUPS,
    StudyRecord,
    write_study,
)

_PEOPLE = 40
_STUDY = StudyConfig.model_validate(
    {
        "name": "tiny <study>",
        "seeds": 2,
        "fractions": (0.5, 1.0),
        "pretraining": {"simclr": {"recipe": "simclr-paper"}},
        "tasks": (
            {"name": "sex", "title": "Sex & more", "target": "sex", "published": "sex"},
            {"name": "age", "title": "Age", "unit": "years", "target": "age_years"},
        ),
        "models": (
            {"name": "plain", "recipe": "supervised-resnet18", "published": "ResNet-18 supervised"},
            {"name": "ours", "recipe": "finetune-simclr", "encoder": "simclr"},
        ),
        "evaluation": {"bootstrap_samples": 100},
    }
)


def _rows(task: str, model: str, seed: int, fraction: float) -> pd.DataFrame:
    stream = np.random.default_rng([seed, len(model), int(10 * fraction)])
    noise = stream.normal(0, {"ours": 0.3, "plain": 0.8}.get(model, 3), _PEOPLE)
    truth = np.arange(_PEOPLE) % 2 if task == "sex" else np.linspace(20, 80, _PEOPLE)
    said = truth + noise * (1 if task == "sex" else 10)
    positive = np.clip(said, 0.01, 0.99)
    is_class = task == "sex"
    return pd.DataFrame(
        {
            "participant": [f"secret/sub-{number:02d}" for number in range(_PEOPLE)],
            "scan_id": [f"secret_sub-{number:02d}" for number in range(_PEOPLE)],
            "task": task,
            "model": model,
            "seed": seed,
            "fold": 0,
            "target": truth.astype(float),
            "prediction": (positive > 0.5).astype(float) if is_class else said,
            "probabilities": [[1 - p, p] if is_class else [] for p in positive],
            "fraction": fraction,
        }
    )


def _task(name: str, kind: str, classes: tuple[str, ...]) -> TaskRecord:
    return TaskRecord.model_validate(
        {
            "task": name, "kind": kind, "classes": classes, "scans": _PEOPLE,
            "participants": _PEOPLE, "positives": _PEOPLE // 2 if classes else None,
            "notes": ("left out: 3 participants (3 scans) without a label",),
            "train_participants": 60, "validation_participants": 20,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    tasks = [_task("sex", "binary", ("F", "M")), _task("age", "regression", ())]
    predictions = pd.concat(
        [
            _rows(task.task, model, seed, fraction)
            for task in tasks
            for model in ("plain", "ours", "mean or majority")
            for fraction in (0.5, 1.0)
            for seed in range(2 if fraction == 1 and model != "mean or majority" else 1)
        ],
        ignore_index=True,
    )
    each = {
        fraction: tabulate(
            predictions[predictions["fraction"] == fraction], tasks, _STUDY.evaluation, 0, "ours"
        )
        for fraction in (0.5, 1.0)
    }
    predictions.to_parquet(folder / PREDICTIONS)
    results = [tables.results.assign(fraction=fraction) for fraction, tables in each.items()]
    pd.concat(results).to_parquet(folder / RESULTS)
    each[1.0].comparisons.to_parquet(folder / COMPARISONS)
    each[1.0].calibration.to_parquet(folder / CALIBRATION)
    people = _rows("age", "ours", 0, 1)[["participant", "scan_id"]]
    scans = people.assign(sex="F", age_years=np.linspace(20, 80, _PEOPLE), site="here")
    whole = predictions[predictions["fraction"] == 1]
    groups = subgroup_table(whole, scans, tasks, _STUDY.evaluation, 0, models=["ours"])
    groups.to_parquet(folder / SUBGROUPS)
    record = {
        "study": _STUDY.model_dump(mode="json"),
        "tasks": [task.model_dump(mode="json") for task in tasks],
        "encoders": [], "contract_fingerprint": "c" * 16, "data_fingerprint": "d" * 16,
        "spacing_mm": 1.0, "scans_by_cohort": {"IXI": 120}, "participants_by_cohort": {"IXI": 120},
        "cells": 12, "failed": ["age: ours, run 2"], "seconds_of_cells": 7200.0,
        "warnings": ["Mind <this>."], "software": {"neurofm": "1"},
    }  # fmt: skip
    write_study(folder, StudyRecord.model_validate(record))
    return folder


def test_the_paper_has_a_value_for_every_row_and_task() -> None:
    assert len(TABLE_2) == 6
    assert all(list(row) == list(METRICS) for row in TABLE_2.values())


def test_the_table_has_models_down_and_tasks_across(folder: Path) -> None:
    table = table_of(read_saved_study(folder))
    assert table.headings == ("Sex & more, AUC ↑", "Age, mean absolute error (years) ↓")
    assert [row.model for row in table.rows] == ["plain", "ours", "mean or majority"]
    assert [row.is_baseline for row in table.rows] == [False, False, True]
    plain, ours, nothing = (row.cells for row in table.rows)
    assert plain[0] is not None
    assert plain[0].published == "0.988 ± 0.005"
    assert plain[1] is not None
    assert not plain[1].published
    assert all(cell is not None and cell.is_best for cell in ours)
    assert all(cell is not None and not cell.is_best for cell in (*plain, *nothing))
    assert ours[0] is not None
    assert ours[0].runs == 2
    assert nothing[0] is not None
    assert "±" not in nothing[0].value


def test_values_are_those_of_the_whole_training_part(folder: Path) -> None:
    results = pd.read_parquet(folder / RESULTS)
    whole = results[(results["fraction"] == 1) & (results["metric"] == "MAE")]
    wanted = whole.set_index("model").loc["ours", "value"]
    (cell,) = (
        row.cells[1] for row in table_of(read_saved_study(folder)).rows if row.model == "ours"
    )
    assert cell is not None
    assert cell.mean == wanted


def test_markdown_csv_and_latex_say_the_same(folder: Path) -> None:
    table = table_of(read_saved_study(folder))
    cell = table.rows[0].cells[0]
    assert cell is not None
    markdown, latex, csv = as_markdown(table), as_latex(table), as_csv(table)
    assert f"| plain | {cell.value} [{cell.interval}] *0.988 ± 0.005* |" in markdown
    assert cell.value.replace("±", r"$\pm$") in latex
    assert r"Sex \& more" in latex
    assert latex.count(r"\midrule") == 2
    lines = csv.splitlines()
    assert len(lines) == 1 + 3 * 2
    assert lines[1].startswith("plain,sex,AUC,")
    assert lines[1].endswith(",0.988,0.005")


def test_the_page_stands_alone_and_names_nobody(folder: Path) -> None:
    page = write_study_page(folder).read_text(encoding="utf-8")
    assert "secret" not in page
    assert "tiny &lt;study&gt;" in page
    assert "Mind &lt;this&gt;." in page
    assert "Without a result: age: ours, run 2" in page
    assert "0.988 ± 0.005" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert page.count("<svg") == 2 * 3 + 1
    assert page.count("By sex, age and site") == 2
    assert page.count("Decisions and probabilities") == 1
    assert "Left out: 3 participants (3 scans) without a label." in page
    for name in ("sex", "age"):
        for ending in ("svg", "png"):
            assert (folder / "figures" / f"data-efficiency-{name}.{ending}").stat().st_size > 1000
    assert (folder / "table2.md").is_file()
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "# Model card: tiny <study>" in card
    assert "### Sex & more (40 test participants)" in card
    assert "### Age. Subgroups: mean absolute error" in card
    assert "secret" not in card
    again = page
    assert write_study_page(folder).read_text(encoding="utf-8") == again


def test_a_folder_without_a_study_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RunError, match="is no finished study"):
        write_study_page(tmp_path)
    (tmp_path / "study.json").write_text((folder / "study.json").read_text())
    (tmp_path / RESULTS).write_text("not a table")
    with pytest.raises(RunError, match=r"results\.parquet: cannot be read"):
        write_study_page(tmp_path)
