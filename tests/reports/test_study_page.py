"""The table, figures and page of a study, from saved tables alone."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.config.study import StudyConfig
from neurofm.errors import RunError
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.saved_tables import write_tables
from neurofm.reports.embedding_map import embedding_map
from neurofm.reports.study_latex import as_latex
from neurofm.reports.study_page import write_study_page
from neurofm.reports.study_table import as_csv, as_markdown, read_saved_study, table_of
from neurofm.reports.subgroup_tables import subgroup_tables
from neurofm.reports.tables import markdown_table
from neurofm.study.published import METRICS, TABLE_2
from neurofm.study.record import (
    LEFT_OUT,
    PREDICTIONS,
    RESULTS,
    SCANS,
    StudyRecord,
    encoder_probe,
    read_study,
    write_study,
)
from neurofm.study.tabulating import derive_study, rebuild_study

_PEOPLE = 40
_SITES = ("IXI/a", "IXI/b", "IXI/c")
_OF_ENCODER = encoder_probe("simclr")
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


def _site_rows(model: str) -> pd.DataFrame:
    truth = np.arange(_PEOPLE) % len(_SITES)
    said = np.where(np.arange(_PEOPLE) % 4 == 0, 0, truth)
    shares = 0.1 + 0.7 * np.eye(len(_SITES))[said]
    rows = _rows("site", model, 0, 1)
    return rows.assign(
        target=truth.astype(float), prediction=said.astype(float), probabilities=list(shares)
    )


def _task(name: str, kind: str, classes: tuple[str, ...]) -> TaskRecord:
    return TaskRecord.model_validate(
        {
            "task": name, "kind": kind, "classes": classes, "scans": _PEOPLE,
            "participants": _PEOPLE, "positives": _PEOPLE // 2 if kind == "binary" else None,
            "notes": ("left out: 3 participants (3 scans) without a label",),
            "train_participants": 60, "validation_participants": 20,
            "scored": 1 if name == "age" else 3,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    asked = [_task("sex", "binary", ("F", "M")), _task("age", "regression", ())]
    tasks = [*asked, _task("site", "multiclass", _SITES)]
    predictions = pd.concat(
        [
            _rows(task.task, model, seed, fraction)
            for task in asked
            for model in ("plain", "ours", "mean or majority")
            for fraction in (0.5, 1.0)
            for seed in range(2 if fraction == 1 and model != "mean or majority" else 1)
        ]
        + [_site_rows(model) for model in (_OF_ENCODER, "mean or majority")],
        ignore_index=True,
    )
    people = _rows("age", "ours", 0, 1)[["participant", "scan_id"]]
    sites = [_SITES[number % len(_SITES)] for number in range(_PEOPLE)]
    scans = people.assign(sex="F", age_years=np.linspace(20, 80, _PEOPLE), site=sites)
    left_out = pd.concat([_rows(task.task, _OF_ENCODER, 0, 1) for task in asked])
    derived = derive_study(predictions, scans, left_out, tasks, _STUDY)
    saved = {PREDICTIONS: predictions, SCANS: scans, LEFT_OUT: left_out}
    write_tables(folder, {**saved, **derived.tables})
    encoder = {
        "model": "simclr", "weights_sha256": "e" * 64, "recipe_fingerprint": None,
        "encoder": "resnet", "features": 4, "target": None, "overlap": 0,
        "citation": "Them & Us, 2025", "terms": "CC0",
    }  # fmt: skip
    record = {
        "study": _STUDY.model_dump(mode="json"),
        "tasks": [task.model_dump(mode="json") for task in tasks],
        "encoders": [encoder], "contract_fingerprint": "c" * 16, "data_fingerprint": "d" * 16,
        "spacing_mm": 1.0, "scans_by_cohort": {"IXI": 120}, "participants_by_cohort": {"IXI": 120},
        "cells": 12, "failed": ["age: ours, run 2"], "seconds_of_cells": 7200.0,
        "warnings": ["Mind <this>."], "software": {"neurofm": "1"},
        "parts_fingerprint": "f" * 16,
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
    assert latex.splitlines().count(r"\midrule") == 2
    lines = csv.splitlines()
    assert len(lines) == 1 + 3 * 2
    assert lines[1].startswith("plain,sex,AUC,")
    assert lines[1].endswith(",0.988,0.005")


def test_latex_has_the_interval_and_the_papers_value_below_each_value(folder: Path) -> None:
    table = table_of(read_saved_study(folder))
    cell = table.rows[0].cells[0]
    assert cell is not None
    latex, value = as_latex(table), cell.value.replace("±", r"$\pm$")
    lines = (value, rf"{{\scriptsize {cell.interval}}}", r"\textit{0.988 $\pm$ 0.005}")
    stacked = r"\linebreak ".join(lines)
    assert stacked in latex
    assert "the paper's Table 2, on its own cohorts" in latex
    assert latex.count("{") == latex.count("}")


def test_the_page_stands_alone_and_names_nobody(folder: Path) -> None:
    page = write_study_page(folder).read_text(encoding="utf-8")
    assert "secret" not in page
    assert "tiny &lt;study&gt;" in page
    assert "Mind &lt;this&gt;." in page
    assert "Without a result: age: ours, run 2" in page
    assert "0.988 ± 0.005" in page
    assert "weights eeeeeeeeeeeeeeee. Cite: Them &amp; Us, 2025. Terms: CC0</dd>" in page
    assert "<dt>Who trains, validates and tests</dt><dd>ffffffffffffffff</dd>" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert page.count("<svg") == 2 * 3 + 1 + 2
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


def test_the_marked_row_of_each_table_is_the_studys_own(folder: Path) -> None:
    page = write_study_page(folder).read_text(encoding="utf-8")
    marked = re.findall(r'<tr class="ours"><th scope="row">(.*?)</th>', page)
    assert marked == ["ours"] * (1 + 2 + 1)  # the table, each task's metrics, decisions on sex


def test_the_page_has_what_sites_do_and_how_often_the_test_was_scored(folder: Path) -> None:
    page = write_study_page(folder).read_text(encoding="utf-8")
    assert page.count("<h2>Site predictability</h2>") == 1
    assert page.count("One site left out: ") == 2
    assert "One site left out: mean absolute error (years)" in page
    assert page.count("scored 3 times so far") == 2
    assert page.count("scored once so far") == 1
    assert "An earlier version" not in page
    site = page[page.index("<h2>Site predictability") :]
    assert 'class="best"' not in site
    assert _OF_ENCODER in site
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "### Site predictability (40 test participants)" in card


def test_a_study_of_an_earlier_version_has_its_page_without(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / LEFT_OUT).unlink()
    record = read_study(copy)
    tasks = tuple(task.model_copy(update={"scored": None}) for task in record.asked)
    write_study(copy, record.model_copy(update={"tasks": tasks}))
    assert "subgroups.parquet" in rebuild_study(copy)
    page = write_study_page(copy).read_text(encoding="utf-8")
    assert "An earlier version of neurofm made this study" in page
    assert not re.search("Site predictability|One site left out|so far", page)


def test_the_unit_of_a_task_stands_wherever_its_numbers_do(folder: Path) -> None:
    page = write_study_page(folder).read_text(encoding="utf-8")
    section = page[page.index("<h2>Age</h2>") : page.index("<h2>Site predictability")]
    axes = re.findall(r">\s*mean absolute error \(years\)\s*<", section)
    assert len(axes) == 2  # of the curve, and of the intervals
    assert re.search(r">\s*true \(years\)\s*<", section)
    assert re.search(r">\s*predicted \(years\)\s*<", section)
    assert '<th scope="col">mean absolute error (years)' in section
    assert "Subgroups: mean absolute error (years)" in (folder / "MODEL_CARD.md").read_text()


def test_a_study_of_the_whole_training_part_alone_has_no_curve(
    folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(copy / "figures", ignore_errors=True)
    record = read_study(copy)
    whole = record.study.model_copy(update={"fractions": (1.0,)})
    write_study(copy, record.model_copy(update={"study": whole}))
    for name in (PREDICTIONS, RESULTS):
        table = pd.read_parquet(copy / name)
        table[table["fraction"] == 1].reset_index(drop=True).to_parquet(copy / name)
    page = write_study_page(copy).read_text(encoding="utf-8")
    assert "share of the training part (%)" not in page
    assert page.count("<svg") == 2 * 2 + 1 + 2
    assert not (copy / "figures").exists()


def test_a_part_without_any_value_says_why_once(folder: Path) -> None:
    record = next(task for task in read_study(folder).asked if task.task == "age")
    rows = pd.DataFrame(
        {
            "task": "age", "model": ["ours", "plain"] * 2, "group": "sex",
            "level": ["F", "F", "M", "M"], "metric": "MAE", "value": [np.nan, np.nan, 2.0, np.nan],
            "low": np.nan, "high": np.nan, "participants": [3, 3, 30, 30], "positives": None,
            "note": ["only 3 participants", "only 3 participants", "", "said nothing"],
        }
    )  # fmt: skip
    table = subgroup_tables(rows, record)
    assert table is not None
    few, many = table.rows
    assert (few.reason, [cell.value for cell in few.cells]) == ("only 3 participants", ["3"])
    assert (many.reason, [cell.value for cell in many.cells]) == ("", ["30", "2.00", "n/a"])
    assert "| Sex F | 3 | n/a (only 3 participants) | n/a |" in markdown_table(table)
    assert "| Sex M | 30 | 2.00 | n/a (said nothing) |" in markdown_table(table)


def test_a_map_of_many_scans_is_a_picture_that_the_page_lets_in(folder: Path) -> None:
    stream, count = np.random.default_rng(0), 3001
    labels = pd.DataFrame({"cohort": "IXI", "age_years": stream.uniform(20, 80, count)})
    panels = embedding_map(labels, stream.normal(size=(count, 2)))
    assert all('href="data:image/png;base64' in panel.svg for panel in panels)
    page = write_study_page(folder).read_text(encoding="utf-8")
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert "img-src data:" in policy.split("; ")


def test_print_shows_what_is_folded_on_the_screen(folder: Path) -> None:
    page = write_study_page(folder).read_text(encoding="utf-8")
    (printed,) = re.findall(r"@media print \{(.*?)\n\}", page, flags=re.DOTALL)
    assert "details::details-content { content-visibility: visible; block-size: auto; }" in printed
    assert "display: none" not in printed


def test_a_folder_without_a_study_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RunError, match="is no finished study"):
        write_study_page(tmp_path)
    (tmp_path / "study.json").write_text((folder / "study.json").read_text())
    (tmp_path / RESULTS).write_text("not a table")
    with pytest.raises(RunError, match=r"results\.parquet: cannot be read"):
        write_study_page(tmp_path)
