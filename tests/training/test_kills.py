"""A pre-training killed at random moments ends with the log and the weights of an untouched one."""

from __future__ import annotations

import importlib
import multiprocessing
import random
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.models.weights import load_weights
from neurofm.store.packing import pack
from neurofm.training.run_log import read_log

_TIMES = ("seconds", "pairs_per_second", "data_wait_share")
_RECIPE = """
name: to-be-killed
store: {{spacing_mm: 6}}
encoder: {{widths: [4, 4, 4, 8]}}
objective: {{projection_size: 8}}
training: {{epochs: {epochs}, batch_size: 2, checkpoint_steps: 2, schedule: cosine}}
"""


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, int], None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    run: Callable[[str, str, int], None] = importlib.import_module("killed_run").run
    return run


@pytest.mark.parametrize(
    ("kills", "epochs"), [(2, 4), pytest.param(30, 60, marks=pytest.mark.slow)]
)
def test_kills_at_random_moments_change_neither_log_nor_weights(
    fake: SimpleNamespace, tmp_path: Path, target: Any, kills: int, epochs: int
) -> None:
    """Cases P2 and P13: also with another number of threads that make the views, each time."""
    pack(fake.write(tmp_path / "derivatives", 14), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "recipe.yaml").write_text(_RECIPE.format(epochs=epochs))
    # Processes are forked from one that has imported everything and computed nothing.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["killed_run", "neurofm.augment.cpu_views"])
    draw = random.Random(20261124)

    def start(folder: str, threads: int) -> Any:
        process = context.Process(
            target=target, args=(str(tmp_path), str(tmp_path / folder), threads)
        )
        process.start()
        return process

    whole = start("whole", 2)
    whole.join(600)
    at_work = 0
    for _ in range(kills):
        process = start("killed", draw.choice([0, 1, 2, 4]))
        _wait_for_new_lines(process, tmp_path / "killed", draw.randrange(10))
        time.sleep(draw.uniform(0, 0.15))
        at_work += process.is_alive()
        process.kill()
        process.join()
    assert at_work == kills
    last = start("killed", 1)
    last.join(600)
    assert (whole.exitcode, last.exitcode) == (0, 0)
    assert _log(tmp_path / "killed") == _log(tmp_path / "whole")
    one, other = (load_weights(tmp_path / name).state for name in ("killed", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in other)


def _wait_for_new_lines(process: Any, folder: Path, count: int) -> None:
    """Until the run has logged so many more steps than when its process began."""
    wanted = _lines(folder) + count
    while process.is_alive() and _lines(folder) < wanted:
        time.sleep(0.01)


def _lines(folder: Path) -> int:
    log = folder / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def _log(folder: Path) -> list[dict[str, Any]]:
    """The log without durations."""
    lines = read_log(folder)
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]
