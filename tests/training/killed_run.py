"""Run by test_kills.py in a process of its own: one call of a pre-training that may be killed."""

from __future__ import annotations

from pathlib import Path

import torch

from neurofm.config.recipe import load_recipe
from neurofm.store.reader import open_store
from neurofm.training.fit import Manner, pretrain


def run(place: str, folder: str, loader_threads: int) -> None:
    torch.set_num_threads(1)
    recipe, store = load_recipe(Path(place) / "recipe.yaml"), open_store(Path(place) / "store")
    pretrain(recipe, store, Path(folder), torch.device("cpu"), how=Manner(threads=loader_threads))
