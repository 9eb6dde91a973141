"""The numbers of an evaluation go into the card of the weights it was made with, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from neurofm.errors import RunError
from neurofm.evaluation.card_metrics import metrics_of
from neurofm.evaluation.given import Given
from neurofm.evaluation.protocol import evaluate
from neurofm.files import write_json
from neurofm.models.bundle_card import model_card_text
from neurofm.models.card import Card, read_card, write_card
from neurofm.models.private_text import refuse_private_text
from neurofm.models.weights import WEIGHTS_FILE
from neurofm.reports.card_facts import write_evaluation_card


def _titles(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("## ")]


def test_a_card_takes_the_numbers_of_its_own_weights_only(kit: Any, tmp_path: Path) -> None:
    one, other = kit.simclr("one"), kit.simclr("other", seed=1)
    evaluate(kit.recipe(), kit.store, [Given(one)], tmp_path / "evaluation")
    card = read_card(one)
    metrics = metrics_of(tmp_path / "evaluation", card)
    results = pd.read_parquet(tmp_path / "evaluation" / "results.parquet")
    own = results[results["model"] == "pre-trained encoder"]
    assert [each.value for each in metrics.numbers] == [
        None if pd.isna(value) else value for value in own["value"]
    ]
    assert [each.low for each in metrics.numbers] == [
        None if pd.isna(value) else value for value in own["low"]
    ]
    assert metrics.participants == {"fake": 20}
    assert metrics.overlap == 0
    with pytest.raises(RunError, match=r"other weights: pre-trained encoder \(\w{8}\), not"):
        metrics_of(tmp_path / "evaluation", read_card(other))

    with_them = card.model_copy(update={"metrics": metrics})
    refuse_private_text(with_them)
    write_card(tmp_path / "card", with_them)
    assert read_card(tmp_path / "card") == with_them
    text = model_card_text(with_them)
    mae = next(each for each in metrics.numbers if each.metric == "MAE")
    assert f"| pre-trained encoder | MAE | {mae.value:.3g} | {mae.low:.3g} to" in text
    assert "| fake | 20 |" in text
    assert "- these weights: none" in text
    beside = write_evaluation_card(tmp_path / "evaluation").read_text()
    assert _titles(text) == _titles(beside) == _titles(model_card_text(card))


def test_repeats_have_no_numbers_of_their_own(kit: Any, tmp_path: Path) -> None:
    one, other = kit.simclr("one"), kit.simclr("other", seed=1)
    given = [Given(one, "both"), Given(other, "both")]
    evaluate(kit.recipe(), kit.store, given, tmp_path / "evaluation")
    with pytest.raises(RunError, match="tells of 2 weights named 'both' together"):
        metrics_of(tmp_path / "evaluation", read_card(one))


def test_a_card_of_before_loads(small_bundle: Path, tmp_path: Path) -> None:
    values = read_card(small_bundle).model_dump(mode="json")
    del values["metrics"]
    write_json(tmp_path / "card.json", values)
    (tmp_path / WEIGHTS_FILE).write_bytes((small_bundle / WEIGHTS_FILE).read_bytes())
    assert isinstance(read_card(tmp_path), Card)
    assert read_card(tmp_path).metrics is None
