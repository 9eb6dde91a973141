from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from neurofm.commands.evaluate import evaluate
from neurofm.commands.report import report
from neurofm.config.encoders import ResNetConfig
from neurofm.config.preparation import StoreConfig
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import save_weights
from neurofm.store.packing import pack


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
    assert "Age: MAE (years)" in printed.out
    assert "pre-trained encoder" in printed.out
    assert "Warning: The weights do not say" in printed.err
    assert report(tmp_path / "evaluation") == 0
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "unknown: the weights carry no list" in page
    assert "fake_p00" not in page
