"""A tiny store and recipe: 12 scans of 6 participants at 6 mm, an encoder of 16 features."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Store:
    derivatives = fake.write(tmp_path / "derivatives", 12)
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    return open_store(tmp_path / "store")


@pytest.fixture
def recipe() -> Recipe:
    return check_recipe(
        {
            "name": "tiny",
            "store": {"spacing_mm": 6},
            "encoder": {"widths": [4, 8, 8, 16]},
            "objective": {"projection_size": 8},
            "training": {"epochs": 3, "batch_size": 3, "learning_rate": 1e-3},
        },
        where="a test",
    )


@pytest.fixture
def labelled_store(fake: SimpleNamespace, tmp_path: Path) -> Store:
    """40 scans of 20 participants: five for pre-training, fifteen held out, one without an age."""
    derivatives = fake.write(tmp_path / "labelled", 40)
    pack(derivatives, tmp_path / "labelled-store", StoreConfig(spacing_mm=6.0))
    opened = open_store(tmp_path / "labelled-store")
    number = opened.index["participant_id"].str[1:].astype(int)
    opened.index["split"] = ["pretrain" if each < 5 else "held-out" for each in number]
    opened.index.loc[number == 7, "age_years"] = None
    opened.index["group3"] = [("H", "AD", "MCI")[each % 3] for each in number]
    opened.index["nobody"] = None
    return opened
