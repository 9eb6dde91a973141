"""Two processes that add gradients up over parts compute the step of one that does not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

_WORKER = Path(__file__).parent / "accumulate_worker.py"
_NAMES = ("mae", "vit", "vit lora", "resnet lora")


def _places(world: int) -> list[dict[str, str]]:
    if world == 1:
        return [{}]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    group["WORLD_SIZE"] = str(world)
    return [group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(world)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, Any]]]:
    """What the processes of worlds of 1 and 2 found, by the world and the rank."""
    folder = tmp_path_factory.mktemp("results")
    found = {}
    for world in (1, 2):
        workers = [
            subprocess.Popen([sys.executable, str(_WORKER), str(folder)], env=os.environ | place)
            for place in _places(world)
        ]
        assert [worker.wait(timeout=300) for worker in workers] == [0] * world
        paths = [folder / f"{world}-{rank}.pt" for rank in range(world)]
        found[world] = [torch.load(path, weights_only=True) for path in paths]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("name", _NAMES)
def test_loss_figures_and_gradients_are_those_of_one_process(
    results: dict[int, list[dict[str, Any]]], name: str, parts: int
) -> None:
    expected = results[1][0][f"{name} 1"]
    for process in results[2]:
        given = process[f"{name} {parts}"]
        assert given["loss"] == pytest.approx(expected["loss"], rel=1e-10)
        assert given["figures"] == pytest.approx(expected["figures"], rel=1e-6)
        assert given["gradients"].keys() == expected["gradients"].keys()
        assert expected["gradients"]
        apart, whole = (
            torch.cat([(given["gradients"][n] * sign + g).flatten() for n, g in
                       expected["gradients"].items()]).norm()
            for sign in (-1, 0)
        )  # fmt: skip
        assert float(apart / whole) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("name", _NAMES)
def test_some_steps_leave_the_same_bits_on_both_processes(
    results: dict[int, list[dict[str, Any]]], name: str, parts: int
) -> None:
    one, other = (process[f"{name} {parts}"]["state"] for process in results[2])
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit lora", "resnet lora"])
def test_only_adapters_and_head_have_gradients(
    results: dict[int, list[dict[str, Any]]], name: str
) -> None:
    gradients = results[2][0][f"{name} 2"]["gradients"]
    assert all(".lora_" in each or each.startswith("head.") for each in gradients)
