"""`neurofm pretrain` as a process that is killed, stopped and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from neurofm.config.preparation import StoreConfig
from neurofm.store.packing import pack

_RECIPE = """
name: to-be-killed
store: {spacing_mm: 6}
encoder: {widths: [4, 8, 8, 16]}
objective: {projection_size: 8}
training: {epochs: 8, batch_size: 2}
"""


@pytest.fixture
def place(fake: SimpleNamespace, tmp_path: Path) -> Path:
    pack(fake.write(tmp_path / "derivatives", 12), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    return tmp_path


def _start(place: Path, run: str) -> subprocess.Popen[str]:
    words = ["pretrain", "recipe.yaml", "--store", "store", "-o", run, "--device", "cpu"]
    return subprocess.Popen(
        [sys.executable, "-m", "neurofm", *words],
        cwd=place,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _losses(place: Path, run: str) -> list[tuple[str, int, float]]:
    lines = (place / run / "log.jsonl").read_text().splitlines()
    return [(row["kind"], row["step"], row["loss"]) for row in map(json.loads, lines)]


def _wait_for_lines(place: Path, run: str, count: int) -> None:
    log = place / run / "log.jsonl"
    for _ in range(1200):
        if log.is_file() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    raise TimeoutError


@pytest.mark.slow
def test_a_run_killed_twice_and_stopped_once_logs_what_an_untouched_run_logs(place: Path) -> None:
    untouched = _start(place, "whole")
    for count in (2, 12):
        killed = _start(place, "broken")
        _wait_for_lines(place, "broken", count)
        killed.kill()
        killed.communicate()
    stopped = _start(place, "broken")
    _wait_for_lines(place, "broken", 22)
    stopped.send_signal(signal.SIGTERM)
    _, message = stopped.communicate(timeout=60)
    assert stopped.returncode == 75
    assert "the same command continues" in message
    last = _start(place, "broken")
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0
    assert "weights.safetensors" in output
    untouched.communicate(timeout=120)
    assert _losses(place, "broken") == _losses(place, "whole")
    assert len(_losses(place, "whole")) == 8 * 4


def test_a_mistake_is_one_line_without_a_traceback(place: Path) -> None:
    (place / "recipe.yaml").write_text(_RECIPE.replace("epochs", "epoch"))
    process = _start(place, "run")
    _, message = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "did you mean 'training.epochs'?" in message.replace("\n", " ")
    assert "Traceback" not in message
    assert not (place / "run").exists()
