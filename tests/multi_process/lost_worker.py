"""Run by test_lost_processes.py: one process of a pre-training that may fail or hang."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from neurofm.commands.console import end_at_once, say_at_once
from neurofm.config.recipe import load_recipe
from neurofm.errors import NeurofmError
from neurofm.store.reader import Store, open_store
from neurofm.training.fit import Manner, pretrain

_READS = 12


class _BadDisk(Store):
    """A store on a disk that hangs or fails, or on a full machine, after a few scans."""

    reads, fault = 0, ""

    def image(self, row: int) -> np.ndarray:
        self.reads += 1
        if self.reads > _READS and self.fault == "hang":
            time.sleep(600)
        if self.reads > _READS and self.fault == "unreadable":
            raise OSError(5, "Input/output error")
        if self.reads > _READS and self.fault == "fail":
            raise MemoryError
        return super().image(row)


if __name__ == "__main__":
    torch.set_num_threads(1)
    fault, seconds = sys.argv[1], float(sys.argv[2])
    store = open_store(Path("store"))
    if os.environ.get("RANK") == "1" or "alone" in sys.argv:
        store.__class__ = _BadDisk
        store.fault = fault
    how = Manner(timeout_seconds=seconds, join_seconds=5, tell=say_at_once, give_up=end_at_once)
    try:
        recipe = load_recipe("recipe.yaml")
        pretrain(recipe, store, Path("run"), torch.device("cpu"), how=how)
    except NeurofmError as error:
        say_at_once(f"{type(error).__name__}: {error}")
        sys.exit(getattr(error, "exit_status", 2))
