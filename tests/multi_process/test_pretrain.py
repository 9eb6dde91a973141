"""Two processes pre-train as one does: same losses, same weights."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.models.weights import load_weights
from neurofm.store.packing import pack
from neurofm.training.run_log import read_log

_WORKER = Path(__file__).parent / "pretrain_worker.py"
_RECIPE = """
name: two-processes
store: {spacing_mm: 6}
encoder: {widths: [4, 8, 8, 16]}
objective: {projection_size: 8}
training: {epochs: 2, batch_size: 4}
"""


def _places() -> list[dict[str, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    group["WORLD_SIZE"] = "2"
    return [group | {"RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]


@pytest.fixture
def place(fake: SimpleNamespace, tmp_path: Path) -> Path:
    pack(fake.write(tmp_path / "derivatives", 16), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    return tmp_path


def _run(place: Path, folder: str, processes: int, steps: str = "all") -> None:
    """One call of a run, to its end or until it is asked to stop after so many steps."""
    workers = [
        subprocess.Popen(
            [sys.executable, _WORKER, "recipe.yaml", "store", folder, steps],
            env=os.environ | each,
            cwd=place,
        )
        for each in ([{}] if processes == 1 else _places())
    ]
    status = 0 if steps == "all" else 75
    assert [worker.wait(timeout=120) for worker in workers] == [status] * processes


@pytest.mark.slow
def test_two_processes_give_the_run_of_one(place: Path) -> None:
    for processes, folder in enumerate(("one", "two"), start=1):
        _run(place, folder, processes)
    one, two = (read_log(place / name) for name in ("one", "two"))
    assert [(row["kind"], row["step"]) for row in one] == [
        (row["kind"], row["step"]) for row in two
    ]
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=2e-5)
    assert two[0]["effective_rank"] == pytest.approx(one[0]["effective_rank"], rel=1e-3)
    # Later steps carry rounding on: batch norm over few voxels and Adam's division enlarge it.
    assert two[0]["gradient_norm"] == pytest.approx(one[0]["gradient_norm"], rel=2e-3)
    assert two[1]["loss"] == pytest.approx(one[1]["loss"], rel=2e-3)
    states = [load_weights(place / name).state for name in ("one", "two")]
    assert list(states[0]) == list(states[1])
    for name in states[0]:
        torch.testing.assert_close(states[1][name], states[0][name], rtol=1e-2, atol=1.3e-3)


@pytest.mark.slow
def test_a_scan_that_one_process_cannot_use_skips_the_step_on_both(place: Path) -> None:
    """Case P7."""
    path = place / "store" / "shards" / "00000-masks.npy"
    masks = np.load(path)
    masks[6:8] = 0  # both scans of the fourth participant, who is seen by one process
    np.save(path, masks)
    for processes, folder in enumerate(("one", "two"), start=1):
        _run(place, folder, processes)
    one, two = (read_log(place / name) for name in ("one", "two"))
    skipped = [
        [(row["step"], row["skipped_scans"]) for row in log if row.get("skipped_scans")]
        for log in (one, two)
    ]
    assert len(skipped[0]) == 2
    assert skipped[0] == skipped[1]
    assert all(scan.startswith("fake_p03_s") for _, scans in skipped[0] for scan in scans)
    listed = [(place / name / "bad_scans.json").read_bytes() for name in ("one", "two")]
    assert listed[0] == listed[1]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_run_goes_on_with_another_number_of_processes(place: Path, first: int, then: int) -> None:
    """Cases P13 and 103: stopped inside an epoch, so the same scans have to come next."""
    _run(place, "one", 1)
    _run(place, "mixed", first, steps="1")
    _run(place, "mixed", then)
    expected, mixed = (read_log(place / name) for name in ("one", "mixed"))
    assert [(row["kind"], row["step"]) for row in mixed] == [
        (row["kind"], row["step"]) for row in expected
    ]
    for row, other in zip(mixed, expected, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-2)
