"""torchrun starts the processes, on one node and on two: stopped together, they go on together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from neurofm.config.preparation import StoreConfig
from neurofm.store.packing import pack
from neurofm.training.checkpoints import find_checkpoint
from neurofm.training.run_log import read_log

_RECIPE = """
name: by-torchrun
store: {spacing_mm: 6}
encoder: {widths: [4, 8, 8, 16]}
objective: {projection_size: 8}
training: {epochs: 60, batch_size: 4, checkpoint_steps: 1000}
"""
_EPOCHS, _STEPS_AN_EPOCH = 60, 2


@pytest.fixture
def place(fake: SimpleNamespace, tmp_path: Path) -> Path:
    pack(fake.write(tmp_path / "derivatives", 16), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    return tmp_path


def _torchruns(place: Path, nodes: int) -> list[subprocess.Popen[str]]:
    """One torchrun a node, all on this machine; two processes in all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [f"--nnodes={nodes}", f"--nproc-per-node={2 // nodes}", "--rdzv-backend=c10d"]
    words += [f"--rdzv-endpoint=127.0.0.1:{port}", f"--rdzv-id={port}", "-m", "neurofm"]
    words += ["pretrain", "recipe.yaml", "--store", "store", "-o", "run", "--device", "cpu"]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *words],
            cwd=place,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(nodes)
    ]


def _wait_for_steps(place: Path, count: int) -> None:
    log = place / "run" / "log.jsonl"
    for _ in range(2400):
        if log.is_file() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.slow
@pytest.mark.parametrize("nodes", [1, 2])
def test_processes_of_torchrun_save_when_it_is_stopped_and_go_on(place: Path, nodes: int) -> None:
    """Case P3: torchrun hands SIGTERM on to its processes, and kills them after 30 s."""
    started = _torchruns(place, nodes)
    _wait_for_steps(place, 4)
    for torchrun in started:
        torchrun.send_signal(signal.SIGTERM)
    said = "".join(torchrun.communicate(timeout=30)[0] for torchrun in started)
    assert "SIGTERM: saving after this step." in said
    found = find_checkpoint(place / "run")
    assert found is not None
    last = found.checkpoint.position.step
    assert 3 <= last < _EPOCHS * _STEPS_AN_EPOCH
    assert [line["step"] for line in read_log(place / "run") if line["kind"] == "step"][-1] == last

    started = _torchruns(place, nodes)
    said = "".join(torchrun.communicate(timeout=240)[0] for torchrun in started)
    assert [torchrun.returncode for torchrun in started] == [0] * nodes
    assert said.count("weights.safetensors") == 1
    steps = [line["step"] for line in read_log(place / "run") if line["kind"] == "step"]
    assert steps == list(range(1, _EPOCHS * _STEPS_AN_EPOCH + 1))
