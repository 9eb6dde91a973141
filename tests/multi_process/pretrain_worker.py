"""Run by test_pretrain.py: one process of a pre-training; alone, it is the whole of it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch

from neurofm.config.recipe import load_recipe
from neurofm.progress import SilentProgress
from neurofm.store.reader import open_store
from neurofm.training.fit import pretrain
from neurofm.training.stopping import RunStoppedError


class _StopAfter(SilentProgress):
    """Asks the process to stop after some steps, as a scheduler does."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def advance(self, count: int = 1, note: str = "") -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)


if __name__ == "__main__":
    torch.set_num_threads(1)
    recipe, store, folder = (Path(argument) for argument in sys.argv[1:4])
    progress = SilentProgress() if sys.argv[4] == "all" else _StopAfter(int(sys.argv[4]))
    try:
        pretrain(load_recipe(recipe), open_store(store), folder, torch.device("cpu"), progress)
    except RunStoppedError as stopped:
        sys.exit(stopped.exit_status)
