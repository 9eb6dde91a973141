"""A store of 24 people in a tiny encoder's reach, and weights of each kind on it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store
from neurofm.training.fit import StartingPoint, pretrain, train

_CPU = torch.device("cpu")
_RESNET = {"widths": [4, 8, 8, 16], "stem_stride": 2}
_VIT = {"kind": "vit", "width": 24, "depth": 1, "heads": 3, "patch_voxels": [5, 8, 8]}


class Kit:
    """Makes recipes and runs on one store, in folders of their names."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def recipe(self, **sections: Any) -> Recipe:
        values: dict[str, Any] = {
            "name": "tiny",
            "store": {"spacing_mm": 6},
            "encoder": _RESNET,
            "training": {"epochs": 1, "batch_size": 3, "learning_rate": 1e-3},
            "split": {
                "task_test_fraction": 0.3,
                "task_validation_fraction": 0.25,
                "drop_unlabelled": True,
            },
            "evaluation": {"folds": 2, "seeds": 2, "bootstrap_samples": 100},
        }
        for name, section in sections.items():
            is_other = isinstance(section, dict) and "kind" not in section
            values[name] = values.get(name, {}) | section if is_other else section
        return check_recipe(values, "a test")

    def simclr(self, name: str, **sections: Any) -> Path:
        recipe = self.recipe(objective={"kind": "simclr", "projection_size": 8}, **sections)
        pretrain(recipe, self.store, self.folder / name, _CPU)
        return self.folder / name

    def supervised(
        self, name: str, target: str, start: Path | None = None, vit: bool = False, **sections: Any
    ) -> Path:
        if vit:
            sections["encoder"] = _VIT
        objective = {"kind": "supervised", "target": target} | sections.pop("objective", {})
        recipe = self.recipe(objective=objective, **sections)
        begin = StartingPoint(start)
        train(recipe, self.store, self.folder / name, _CPU, start=begin)
        return self.folder / name


@pytest.fixture
def kit(fake: SimpleNamespace, tmp_path: Path) -> Kit:
    """48 scans of 24 people: four for pre-training, twenty held out, one of them without a sex."""
    derivatives = fake.write(tmp_path / "derivatives", 48)
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    opened = open_store(tmp_path / "store")
    number = opened.index["participant_id"].str[1:].astype(int)
    opened.index["split"] = ["pretrain" if each < 4 else "held-out" for each in number]
    opened.index.loc[number == 9, "sex"] = None
    opened.index["site"] = [("east", "west")[each % 2] for each in number]
    return Kit(opened, tmp_path)
