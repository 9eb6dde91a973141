"""The GPU benchmark runs before anybody has a GPU: rehearsed on the CPU, at a tiny grid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def _run(*words: str) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_rehearsal_on_a_cpu_measures_everything_and_finds_no_difference(tmp_path: Path) -> None:
    output = _run("--cpu-rehearsal", "--quick", "--json", "--results", str(tmp_path / "new"))
    record = json.loads(output.splitlines()[-1])
    assert {check["verdict"] for check in record["checks"]} == {"equal"}
    assert all(row["s/participant"] > 0 for row in record["steps"].values())
    assert {"float32", "bf16"} <= record["steps"].keys()
    largest = {name: row["step"]["participants"] for name, row in record["largest"].items()}
    assert largest["bf16"] == 5  # where the rehearsal lets memory end
    parts = {"read and copy", "augment", "forward", "backward", "optimiser"}
    assert record["split"].keys() == parts
    assert record["hours"].keys() == record["steps"].keys()
    masked = record["mae"]
    assert masked["masked share"] == 0.75
    assert masked["steps"].keys() == {"float32", "bf16", "bf16, checkpointed blocks"}
    assert all(row["s waiting"] >= 0 < row["s/participant"] for row in masked["steps"].values())
    assert (tmp_path / "new" / "gpu-cpu-rehearsal.txt").read_text().strip() in output


def test_without_a_gpu_it_says_so_in_one_line() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, which CUDA_VISIBLE_DEVICES may not hide from all")
    assert len(_run().splitlines()) == 1
