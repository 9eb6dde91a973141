"""From simulated heads to the report by the command line, small enough for every test run."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

SMALL = (
    "phantom.participants=12",
    "phantom.spacing_mm=6",
    "preprocess.spacing_mm=6",
    "views.min_crop_mm=[60,80,80]",
    "encoder.widths=[4,4,8,8]",
    "training.epochs=2",
    "training.batch_size=3",
    "evaluation.folds=2",
    "evaluation.seeds=2",
    "evaluation.bootstrap_samples=100",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A command of its own, as users start it; the others here run in this process."""
    folder = tmp_path_factory.mktemp("path") / "out"
    command = [sys.executable, "-m", "neurofm", "run", "demo", *SMALL, "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_command_ends_with_the_table_and_the_path_of_the_report(
    finished: tuple[Path, str],
) -> None:
    folder, printed = finished
    page = folder / "evaluation" / "report.html"
    assert page.is_file()
    assert printed.rstrip().endswith(f"Report: {page.resolve()}")
    assert "Age: mean absolute error (years)" in printed


def test_nobody_is_on_both_sides_of_pre_training(finished: tuple[Path, str]) -> None:
    index = pd.read_parquet(finished[0] / "index.parquet")
    assert set(index["split"]) == {"pretrain", "held-out"}
    assert (index.groupby("participant_id")["split"].nunique() == 1).all()
    predicted = pd.read_parquet(finished[0] / "evaluation" / "predictions.parquet")
    held_out = index.loc[index["split"] == "held-out", "scan_id"]
    assert set(predicted["scan_id"]) <= set(held_out)


def test_the_loss_is_logged_for_every_epoch(finished: tuple[Path, str]) -> None:
    lines = (finished[0] / "run" / "log.jsonl").read_text().splitlines()
    epochs = [entry for entry in map(json.loads, lines) if entry["kind"] == "epoch"]
    assert [entry["epoch"] for entry in epochs] == [0, 1]
    assert all(math.isfinite(entry["loss"]) for entry in epochs)


def test_the_same_command_again_only_finds_its_work_done(
    neurofm: Any, finished: tuple[Path, str]
) -> None:
    folder, _ = finished
    weights = (folder / "run" / "weights.safetensors").read_bytes()
    again = neurofm("run", "demo", *SMALL, "-o", str(folder))
    assert again.returncode == 0, again.stderr
    assert (folder / "run" / "weights.safetensors").read_bytes() == weights


def test_another_recipe_in_the_same_folder_is_refused(
    neurofm: Any, finished: tuple[Path, str]
) -> None:
    other = neurofm("run", "demo", *SMALL, "seed=1", "-o", str(finished[0]))
    assert other.returncode == 2
    assert "another recipe" in other.stderr


def test_a_recipe_with_labels_goes_the_same_path_to_its_test_part(
    neurofm: Any, finished: tuple[Path, str], tmp_path: Path
) -> None:
    """The scans that are prepared already are taken over."""
    folder, labels = tmp_path / "out", ("objective.kind=supervised", "objective.target=age_years")
    for name in ("derivatives", "store"):
        shutil.copytree(finished[0] / name, folder / name)
    shutil.copy(finished[0] / "index.parquet", folder)
    done = neurofm("run", "demo", *SMALL, *labels, "-o", str(folder))
    assert done.returncode == 0, done.stderr
    stages = [row["stage"] for row in json.loads((folder / "stages.json").read_text())]
    assert stages == ["index", "preprocess", "pack", "train", "evaluate", "report"]
    assert "as trained" in done.stdout
    assert "test participants" in (folder / "evaluation" / "report.html").read_text()
    both = neurofm(
        "evaluate", "demo", *SMALL, "--store", str(folder / "store"),
        "--weights", f"With labels={folder / 'run'}", "--weights", f"SimCLR={finished[0] / 'run'}",
        "-o", str(tmp_path / "both"),
    )  # fmt: skip
    assert both.returncode == 0, both.stderr
    for name in ("With labels", "SimCLR", "mean or majority"):
        assert name in both.stdout


def test_a_raw_scan_becomes_an_embedding(neurofm: Any, finished: tuple[Path, str]) -> None:
    folder, _ = finished
    scan = sorted((folder / "phantoms").rglob("*_T1w.nii.gz"))[0]
    table = folder / "one.parquet"
    done = neurofm("embed", str(scan), "--weights", str(folder / "run"), "-o", str(table))
    assert done.returncode == 0, done.stderr
    rows = pd.read_parquet(table)
    assert len(rows) == 1
    assert len(rows["embedding"][0]) == 8
