"""Run by test_pretrain.py: one process of a pre-training; alone, it is the whole of it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from neurofm.config.recipe import load_recipe
from neurofm.store.reader import open_store
from neurofm.training.fit import pretrain

if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe, store, folder = (Path(argument) for argument in sys.argv[1:])
    pretrain(load_recipe(recipe), open_store(store), folder, torch.device("cpu"))
