from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from neurofm.commands.cell_options import CellOptions
from neurofm.commands.evaluate import evaluate
from neurofm.commands.report import report
from neurofm.config.encoders import ResNetConfig
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import save_weights
from neurofm.store.packing import pack

_STUDY = """
name: tiny
fractions: [1.0]
common:
  store: {spacing_mm: 6}
  split: {task_test_fraction: 0.3, task_validation_fraction: 0.25}
  encoder: {widths: [4, 8, 8, 16], stem_stride: 2}
  training: {epochs: 1, batch_size: 3}
tasks:
  - {name: age, title: Age, unit: years, target: age_years}
models:
  - {name: scratch, recipe: finetune-simclr}
evaluation: {seeds: 1, bootstrap_samples: 100}
"""


def test_evaluate_and_report_go_from_a_store_and_weights_to_a_page(
    fake: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(fake.write(tmp_path / "derivatives", 12), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    encoder = ResNetConfig(widths=(4, 8, 8, 16))
    state = build_encoder(encoder, seed=1).state_dict()
    save_weights(
        tmp_path / "weights",
        {f"encoder.{name}": tensor for name, tensor in state.items()},
        Card(encoder=encoder, features=16, spacing_mm=6.0),
    )
    (tmp_path / "tiny.yaml").write_text("name: tiny\n")
    overrides = ["folds=2", "seeds=1", "bootstrap_samples=100"]
    status = evaluate(
        str(tmp_path / "tiny.yaml"),
        *(f"evaluation.{override}" for override in overrides),
        store=tmp_path / "store",
        weights=[str(tmp_path / "weights")],
        output=tmp_path / "evaluation",
    )
    printed = capsys.readouterr()
    assert status == 0
    assert "Age: mean absolute error (years)" in printed.out
    card = (tmp_path / "evaluation" / "MODEL_CARD.md").read_text()
    assert "| pre-trained encoder | resnet18 | 16 | nothing: embeddings only |" in card
    assert "- pre-trained encoder: unknown" in card
    assert "- normalisation: none" in card
    assert "fake_p00" not in card
    assert str(tmp_path) not in card
    assert "pre-trained encoder" in printed.out
    assert "Warning: The weights do not say" in printed.err
    names = ("results", "comparisons", "calibration", "subgroups")
    files = [tmp_path / "evaluation" / f"{name}.parquet" for name in names]
    saved = [pd.read_parquet(file) for file in files]
    for file in files:
        file.unlink()
    assert report(tmp_path / "evaluation") == 0
    assert "Computed again: results.parquet, comparisons.parquet" in capsys.readouterr().out
    for file, table in zip(files, saved, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(file), table, check_exact=True)
    assert report(tmp_path / "evaluation") == 0
    assert "Computed again" not in capsys.readouterr().out
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "unknown: the weights carry no list" in page
    assert "fake_p00" not in page


def test_a_study_is_evaluated_by_the_same_command(
    fake: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(fake.write(tmp_path / "derivatives", 32), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "study.yaml").write_text(_STUDY)
    study, store, out = str(tmp_path / "study.yaml"), tmp_path / "store", tmp_path / "out"
    cells = CellOptions(workers=0, device="cpu")
    status = evaluate(study, "seeds=1", store=store, output=out, cells=cells)
    printed = capsys.readouterr()
    assert status == 0
    assert "Age, mean absolute error (years) ↓" in printed.out
    assert printed.out.rstrip().endswith(f"Report: {(out / 'report.html').resolve()}")
    (out / "report.html").unlink()
    assert report(out) == 0
    assert "fake_p00" not in (out / "report.html").read_text()
    failing = ("seeds=1", "common.training.learning_rate=1e30", "common.training.epochs=4")
    status = evaluate(study, *failing, store=store, output=tmp_path / "failed", cells=cells)
    assert status == 1
    assert "age: scratch, run 1: " in capsys.readouterr().err


def test_options_of_a_study_are_refused_where_they_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave --workers, --dask and --device out"):
        evaluate("demo", store=tmp_path, output=tmp_path, cells=CellOptions(workers=2))
    both = CellOptions(workers=2, dask="tcp://127.0.0.1:1")
    with pytest.raises(ConfigError, match="leave --workers out"):
        both.machinery()
    with pytest.raises(ConfigError, match="no such device"):
        CellOptions(device="tpu").machinery()
    assert CellOptions(device="cpu").machinery().workers >= 1
