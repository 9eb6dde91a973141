"""`neurofm train`: from the command line to weights, and its mistakes in one line."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neurofm.config.preparation import StoreConfig
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


def test_a_recipe_and_a_store_become_weights_with_a_head(
    neurofm: Any, store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = neurofm("train", "supervised-resnet18", *_SMALL, "--store", store, "-o", run)
    assert done.returncode == 0, done.stderr
    assert str(run / "weights.safetensors") in done.stdout
    head = load_weights(run).card.head
    assert head is not None
    assert (head.target, head.classes) == ("sex", ("F", "M"))


def test_fine_tuning_starts_from_weights(neurofm: Any, store: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    neurofm("train", "supervised-resnet18", *_SMALL, "--store", store, "-o", before)
    options = ("--weights", before, "--allow-pretrain-overlap", "--store", store, "-o", after)
    done = neurofm("train", "linear-probe", *_SMALL, "objective.target=age_years", *options)
    assert done.returncode == 0, done.stderr
    card = load_weights(after).card
    assert card.started_from == load_weights(before).card.weights_sha256
    assert card.head is not None
    assert card.head.kind == "regression"


def test_a_recipe_of_pretraining_is_sent_to_the_other_command(
    neurofm: Any, store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    done = neurofm("train", "simclr-paper", *_SMALL, "--store", store, "-o", run)
    assert done.returncode == 2
    assert "use: neurofm pretrain" in done.stderr
    assert not run.exists()
