"""`neurofm train`: from the command line to weights, and its mistakes in one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from neurofm.commands.app import build_app
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError
from neurofm.models.weights import load_weights
from neurofm.store.packing import pack

_SMALL = (
    "store.spacing_mm=6", "encoder.widths=[4, 8, 8, 16]", "encoder.stem_stride=2",
    "training.epochs=1", "training.batch_size=2",
)  # fmt: skip


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Path:
    pack(fake.write(tmp_path / "derivatives", 24), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    return tmp_path / "store"


def _neurofm(*words: object) -> object:
    return build_app()([str(word) for word in words], result_action="return_value")


def test_a_recipe_and_a_store_become_weights_with_a_head(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert _neurofm("train", "supervised-resnet18", *_SMALL, "--store", store, "-o", run) == 0
    assert str(run / "weights.safetensors") in capsys.readouterr().out
    head = load_weights(run).card.head
    assert head is not None
    assert (head.target, head.classes) == ("sex", ("F", "M"))


def test_fine_tuning_starts_from_weights(store: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    _neurofm("train", "supervised-resnet18", *_SMALL, "--store", store, "-o", before)
    options = ("--weights", before, "--allow-pretrain-overlap", "--store", store, "-o", after)
    assert _neurofm("train", "linear-probe", *_SMALL, "objective.target=age_years", *options) == 0
    card = load_weights(after).card
    assert card.started_from == load_weights(before).card.weights_sha256
    assert card.head is not None
    assert card.head.kind == "regression"


def test_a_recipe_of_pretraining_is_sent_to_the_other_command(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use: neurofm pretrain"):
        _neurofm("train", "simclr-paper", *_SMALL, "--store", store, "-o", tmp_path / "run")
