"""A study of two tasks and three models on 24 people, small enough for every test run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import load_recipe
from neurofm.config.study import StudyConfig, load_study
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store

_ENCODER = {"widths": [4, 8, 8, 16], "stem_stride": 2}


class StudyKit:
    """Writes studies over one store, and the encoder they start from."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        common = {
            "store": {"spacing_mm": 6},
            "split": {"task_test_fraction": 0.3, "task_validation_fraction": 0.25},
            "training": {"epochs": 1, "batch_size": 3, "learning_rate": 1e-3},
            "encoder": _ENCODER,
        }
        self.values: dict[str, Any] = {
            "name": "tiny",
            "seeds": 2,
            "fractions": [0.5, 1.0],
            "common": common,
            "pretraining": {"simclr": {"recipe": "simclr-paper"}},
            "tasks": [
                {"name": "sex", "title": "Sex", "target": "sex", "published": "sex"},
                {"name": "age", "title": "Age", "unit": "years", "target": "age_years"},
            ],
            "models": [
                {"name": "from scratch", "recipe": "finetune-simclr"},
                {"name": "probe", "encoder": "simclr", "published": "SimCLR linear probe"},
                {"name": "fine-tuned", "recipe": "finetune-simclr", "encoder": "simclr"},
            ],
            "evaluation": {"seeds": 2, "bootstrap_samples": 100},
        }

    def write(self, **changes: Any) -> Path:
        """A study file with some values changed."""
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump(self.values | changes))
        return path

    def study(self, **changes: Any) -> StudyConfig:
        return load_study(self.write(**changes))


@pytest.fixture(scope="session")
def study_place(fake: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A packed store of 24 people and an encoder that has seen four of them."""
    from neurofm.training.fit import pretrain

    folder = tmp_path_factory.mktemp("study")
    derivatives = fake.write(folder / "derivatives", 48)
    index = derivatives / "index.parquet"
    frame = pd.read_parquet(index)
    number = frame["participant_id"].str[1:].astype(int)
    frame["split"] = ["pretrain" if each < 4 else "held-out" for each in number]
    frame["site"] = [("east", "west")[each % 2] for each in number]
    frame.to_parquet(index)
    pack(derivatives, folder / "store", StoreConfig(spacing_mm=6.0))
    store = open_store(folder / "store")
    kit = StudyKit(store, folder)
    changes = ("store.spacing_mm=6", "encoder.widths=[4,8,8,16]", "encoder.stem_stride=2",
               "training.epochs=1", "training.batch_size=3")  # fmt: skip
    recipe = load_recipe("simclr-paper", changes)
    pretrain(recipe, store, folder / "simclr", torch.device("cpu"))
    return SimpleNamespace(store=store, weights={"simclr": folder / "simclr"}, kit=kit)
