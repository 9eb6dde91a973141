"""Two and four processes compute the step of one, with and without what saves memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

_WORKER = Path(__file__).parent / "exact_worker.py"
_LIMITS = {"torch.float32": 1e-5, "torch.float64": 1e-10}
_WAYS = ("plain", "saving", "mae", "mae of brain", "supervised")
_REFERENCE = {"saving": "plain"}  # what a way has to equal, if not itself alone


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
    """What the processes of worlds of 1, 2 and 4 found, by the world and the rank."""
    folder = tmp_path_factory.mktemp("results")
    found = {}
    for world in (1, 2, 4):
        workers = [
            subprocess.Popen([sys.executable, str(_WORKER), str(folder)], env=os.environ | place)
            for place in _places(world)
        ]
        assert [worker.wait(timeout=600) for worker in workers] == [0] * world
        paths = [folder / f"{world}-{rank}.pt" for rank in range(world)]
        found[world] = [torch.load(path, weights_only=True) for path in paths]
    return found


def _whole(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([each.double().flatten() for each in tensors.values()])


def _relative(given: Tensor, expected: Tensor) -> float:
    return float((given - expected).norm() / expected.norm())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", list(_LIMITS))
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("world", [1, 2, 4])
def test_loss_gradients_and_buffers_are_those_of_one_process(
    results: dict[int, list[dict[str, Any]]], world: int, way: str, dtype: str
) -> None:
    expected = results[1][0][f"{_REFERENCE.get(way, way)} {dtype}"]
    for process in results[world]:
        given = process[f"{way} {dtype}"]
        assert float(given["loss"]) == pytest.approx(float(expected["loss"]), rel=_LIMITS[dtype])
        for kind in ("gradients", "buffers"):
            difference = _relative(_whole(given[kind]), _whole(expected[kind]))
            assert difference < _LIMITS[dtype], kind


@pytest.mark.slow
@pytest.mark.parametrize("dtype", list(_LIMITS))
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("world", [2, 4])
def test_some_steps_leave_the_same_bits_on_every_process(
    results: dict[int, list[dict[str, Any]]], world: int, way: str, dtype: str
) -> None:
    first, *others = (process[f"{way} {dtype}"] for process in results[world])
    for kind in ("parameters", "last buffers"):
        for other in others:
            assert all(torch.equal(other[kind][name], first[kind][name]) for name in first[kind])


@pytest.mark.slow
@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("world", [2, 4])
def test_some_steps_in_float64_are_those_of_one_process(
    results: dict[int, list[dict[str, Any]]], world: int, way: str
) -> None:
    expected = results[1][0][f"{_REFERENCE.get(way, way)} torch.float64"]["parameters"]
    given = results[world][0][f"{way} torch.float64"]["parameters"]
    assert _relative(_whole(given), _whole(expected)) < 1e-6  # Adam divides small gradients
