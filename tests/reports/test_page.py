from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.config.learning import EvaluationConfig
from neurofm.config.preparation import PreprocessConfig
from neurofm.config.recipe import Recipe
from neurofm.errors import ContractError, RunError
from neurofm.evaluation.baselines import PRETRAINED, RANDOM, Model
from neurofm.evaluation.probing import probe_tasks
from neurofm.evaluation.record import (
    CALIBRATION,
    COMPARISONS,
    EMBEDDINGS,
    PREDICTIONS,
    RESULTS,
    SUBGROUPS,
    EvaluationRecord,
    write_record,
)
from neurofm.evaluation.results import tabulate
from neurofm.evaluation.subgroups import scans_table, subgroup_table
from neurofm.reports.page import read_evaluation, tables_of, write_report

CONFIG = EvaluationConfig(folds=3, seeds=2, bootstrap_samples=100)
TEMPLATE = "/home/jane.doe/hospital/template.nii.gz"
LOG = (
    '{"kind": "step", "epoch": 0, "step": 1, "loss": 9.9}\n'
    '{"kind": "epoch", "epoch": 0, "step": 1, "loss": 4.25}\n'
    '{"kind": "epoch", "epoch": 1, "step": 2, "loss": 3.125}\n'
    '{"kind": "epo'
)


def people(count: int = 24) -> pd.DataFrame:
    stream = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "scan_id": [f"SECRETSCAN{i:03d}" for i in range(count)],
            "cohort": "phantom",
            "participant_id": [f"SECRETPERSON{i:03d}" for i in range(count)],
            "age_years": stream.uniform(20, 80, count),
            "sex": ["F", "M"] * (count // 2),
            "site": ["<b>east</b>", "west"] * (count // 4) + ["west", "<b>east</b>"] * (count // 4),
        }
    )


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("evaluation"), people())


def written(folder: Path, table: pd.DataFrame) -> Path:
    """A finished evaluation of these people."""
    stream = np.random.default_rng(1)
    good = stream.normal(size=(24, 12)) + table["age_years"].to_numpy()[:, None] / 15
    encoders = [Model(PRETRAINED, (good,)), Model(RANDOM, (stream.normal(size=(24, 12)),))]
    predictions, tasks = probe_tasks(table, encoders, CONFIG, 0)
    tables = tabulate(predictions, tasks, CONFIG, 0)
    predictions.to_parquet(folder / PREDICTIONS)
    tables.results.to_parquet(folder / RESULTS)
    tables.comparisons.to_parquet(folder / COMPARISONS)
    tables.calibration.to_parquet(folder / CALIBRATION)
    scans = scans_table(table)
    parts = subgroup_table(predictions, scans, tasks, CONFIG, 0, models=[PRETRAINED])
    parts.to_parquet(folder / SUBGROUPS)
    marked = table.assign(model="0f" * 32, contract="c" * 16, embedding=[*good[:-1], None])
    marked.to_parquet(folder / EMBEDDINGS)
    recipe = Recipe(name="tiny", preprocess=PreprocessConfig(template=TEMPLATE), evaluation=CONFIG)
    write_record(
        folder,
        EvaluationRecord(
            recipe=recipe, recipe_fingerprint=recipe.fingerprint(), weights_sha256="0f" * 32,
            weights_recipe_fingerprint=None, contract_fingerprint="c" * 16, data_fingerprint="s",
            spacing_mm=3.0, features=12, rows="held-out", scans=24, participants=24,
            participants_by_cohort={"phantom": 24}, pretrain_overlap=2, tasks=tasks,
            warnings=(*tables.warnings, "2 of 24 were seen"), software={"python": "3.11"},
        ),
    )  # fmt: skip
    (folder / "log.jsonl").write_text(LOG)
    return folder


@pytest.fixture(scope="module")
def page(evaluation: Path) -> str:
    return write_report(evaluation, evaluation, evaluation / "page.html").read_text()


class Tags(HTMLParser):
    """Collects tags and attributes, and holds every opened tag to be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_no_file_of_the_report_names_a_participant_a_scan_or_a_path(
    page: str, evaluation: Path
) -> None:
    beside = [
        (evaluation / name).read_text() for name in ("results.md", "results.csv", "MODEL_CARD.md")
    ]
    for text in (page, *beside):
        assert "SECRET" not in text
        assert "/home/" not in text
        assert str(evaluation) not in text


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    loaded = [value for name, value in tags.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in loaded)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "<script" not in page


def test_no_id_on_the_page_is_used_twice(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    ids = [value for name, value in tags.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_labels_are_text_and_not_markup(page: str) -> None:
    assert "<b>east" not in page
    assert "&lt;b&gt;east" in page


def test_the_page_shows_every_model_of_every_task_the_warnings_the_loss_and_the_map(
    page: str,
) -> None:
    for text in (
        PRETRAINED, RANDOM, "mean or majority", "site only", "sex only", "age only",
        "2 of 24 were seen", "4.250", "3.125", "Site predictability", "Embedding map",
        "<strong>2 participants</strong>", "mean absolute error (years)",
    ):  # fmt: skip
        assert text in page, text
    assert page.count("<svg") == 3 + 3 + 2 + 4 + 1  # sex and site have a calibration curve


def test_the_page_shows_subgroups_with_reasons_and_what_decisions_are_worth(page: str) -> None:
    for text in (
        "Subgroups: mean absolute error (years)", "Sex F", "participants, fewer than 10",
        "Decisions and probabilities", "sensitivity", "calibration slope",
    ):  # fmt: skip
        assert text in page, text


def test_three_classes_have_average_precision_and_calibration_as_two_have(tmp_path: Path) -> None:
    table = people().assign(sex=["H", "MCI", "AD"] * 8)
    folder = written(tmp_path, table)
    page = write_report(folder, None, tmp_path / "page.html").read_text()
    for text in (
        "average precision", "by chance 0.333", "<h3>Probabilities</h3>", "calibration error",
        "observed share of each class over its predicted probability",
        "then the mean over classes",
    ):  # fmt: skip
        assert text in page, text
    assert "Sex: observed over predicted share of the class" in page
    curves = pd.read_parquet(folder / CALIBRATION)
    of_task = curves[(curves["task"] == "sex") & (curves["model"] == PRETRAINED)]
    assert list(of_task["label"].unique()) == ["H", "AD", "MCI"]
    (marked,) = set(re.findall(r'<tr class="ours"><th scope="row">(.*?)</th>', page))
    assert marked == PRETRAINED


def test_the_same_results_give_the_same_page(page: str, evaluation: Path, tmp_path: Path) -> None:
    again = write_report(evaluation, evaluation, tmp_path / "again.html")
    assert again.read_text() == page


def test_without_a_run_the_page_has_no_loss(evaluation: Path, tmp_path: Path) -> None:
    assert (
        "Pre-training</h2>" not in write_report(evaluation, None, tmp_path / "x.html").read_text()
    )


def test_the_best_value_of_a_column_is_marked_but_none_for_the_site(evaluation: Path) -> None:
    tables = {table.task.task: table for table in tables_of(read_evaluation(evaluation))}
    age = {row.model: row.cells[0] for row in tables["age_years"].rows}
    assert age[PRETRAINED].best
    assert not age["mean or majority"].best
    assert age[PRETRAINED].interval
    assert not any(cell.best for row in tables["site"].rows for cell in row.cells)


def test_the_csv_holds_the_results_as_they_were_saved(page: str, evaluation: Path) -> None:
    read = pd.read_csv(evaluation / "results.csv")
    saved = pd.read_parquet(evaluation / RESULTS)
    assert len(read) == len(saved)
    assert read["value"].to_numpy() == pytest.approx(saved["value"].to_numpy(), nan_ok=True)


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished evaluation"):
        write_report(tmp_path, None, tmp_path / "page.html")


def test_embeddings_of_another_preprocessing_get_no_page(evaluation: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evaluation"
    shutil.copytree(evaluation, folder)
    table = pd.read_parquet(folder / EMBEDDINGS)
    table.assign(contract="other").to_parquet(folder / EMBEDDINGS)
    with pytest.raises(ContractError, match="by contract other, not cccc"):
        write_report(folder, None, tmp_path / "page.html")
