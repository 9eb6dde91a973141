"""Two processes give the loss and the gradients of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from neurofm.distributed import any_process, barrier, gather_with_gradient, is_first, world_size

_WORKER = Path(__file__).parent / "contrast_worker.py"


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the worker found alone ("1-0") and as each of two ("2-0", "2-1")."""
    folder = tmp_path_factory.mktemp("results")
    port = _free_port()
    places: list[dict[str, str]] = [{}]
    places += [
        {
            "RANK": rank,
            "LOCAL_RANK": rank,
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        for rank in ("0", "1")
    ]
    workers = [
        subprocess.Popen([sys.executable, str(_WORKER), str(folder)], env=os.environ | place)
        for place in places
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    return {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}


@pytest.mark.parametrize("process", ["2-0", "2-1"])
def test_two_processes_give_the_loss_of_one(results: dict[str, Any], process: str) -> None:
    torch.testing.assert_close(results[process]["loss"], results["1-0"]["loss"], rtol=1e-5, atol=0)


@pytest.mark.parametrize("process", ["2-0", "2-1"])
def test_two_processes_give_the_gradients_of_one(results: dict[str, Any], process: str) -> None:
    torch.testing.assert_close(
        results[process]["gradients"], results["1-0"]["gradients"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("process", ["2-0", "2-1"])
def test_batch_norm_remembers_the_statistics_of_all_rows(
    results: dict[str, Any], process: str
) -> None:
    torch.testing.assert_close(
        results[process]["buffers"], results["1-0"]["buffers"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("process", ["1-0", "2-0", "2-1"])
def test_rows_come_together_in_the_order_of_ranks(results: dict[str, Any], process: str) -> None:
    assert torch.equal(results[process]["rows"], results[process]["all rows"])


def test_a_claim_of_one_process_is_known_to_all(results: dict[str, Any]) -> None:
    assert {name: result["world"] for name, result in results.items()} == {
        "1-0": 1,
        "2-0": 2,
        "2-1": 2,
    }
    assert [results[name]["only rank 1"] for name in ("1-0", "2-0", "2-1")] == [False, True, True]
    assert not any(result["nobody"] for result in results.values())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="threads are counted in Linux's /proc")
@pytest.mark.parametrize("process", ["2-0", "2-1"])
def test_no_thread_of_the_group_outlives_it(results: dict[str, Any], process: str) -> None:
    assert results[process]["threads"] > 0
    assert results[process]["threads left"] == 0


def test_one_process_alone_needs_no_group() -> None:
    rows = torch.ones(2, 3)
    assert gather_with_gradient(rows) is rows
    assert (world_size(), is_first(), any_process(True)) == (1, True, True)
    barrier()
