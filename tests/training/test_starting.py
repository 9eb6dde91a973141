"""Weights that a supervised run starts from are for scans prepared as its own are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import ContractError
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import save_weights
from neurofm.store.reader import Store
from neurofm.training.starting import StartingPoint, open_start

_TINY = ResNetConfig(widths=(4, 8, 8, 16))


def _weights(folder: Path, contract: Any, spacing_mm: float = 6.0) -> Path:
    state = build_encoder(_TINY, seed=1).state_dict()
    card = Card(
        encoder=_TINY, features=16, spacing_mm=spacing_mm,
        contract=contract.model_dump(mode="json"), contract_fingerprint=contract.fingerprint(),
    )  # fmt: skip
    save_weights(folder, {f"encoder.{name}": tensor for name, tensor in state.items()}, card)
    return folder


def test_weights_for_other_preprocessing_are_refused_unless_that_is_allowed(
    labelled_store: Store, fake: Any, tmp_path: Path
) -> None:
    """Case 104."""
    index = labelled_store.index
    folder = _weights(tmp_path / "w", fake.contract("another template"))
    with pytest.raises(ContractError, match="preprocessed differently"):
        open_start(StartingPoint(folder), labelled_store, index[:4], index[4:])
    point = StartingPoint(folder, allow_other_contract=True)
    start = open_start(point, labelled_store, index[:4], index[4:])
    assert start is not None
    assert any("preprocessed differently" in note for note in start.notes)


def test_weights_of_another_voxel_size_are_refused_whatever_is_allowed(
    labelled_store: Store, fake: Any, tmp_path: Path
) -> None:
    """Case 104."""
    index = labelled_store.index
    point = StartingPoint(_weights(tmp_path / "w", fake.contract(), 3.0), True, True)
    with pytest.raises(ContractError, match="the store is at 6 mm, the weights were made at 3 mm"):
        open_start(point, labelled_store, index[:4], index[4:])
