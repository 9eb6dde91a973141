"""A process that dies, fails, hangs or never comes: the others end soon, and name it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from neurofm.config.preparation import StoreConfig
from neurofm.store.packing import pack
from neurofm.training.checkpoints import find_checkpoint

_WORKER = Path(__file__).parent / "lost_worker.py"
_TIMEOUT_SECONDS = 6
_RECIPE = """
name: lost
store: {spacing_mm: 6}
encoder: {widths: [4, 8, 8, 16]}
objective: {projection_size: 8}
training: {epochs: 5000, batch_size: 4, checkpoint_steps: 2, max_bad_scans: 1}
"""

Processes = list[subprocess.Popen[str]]


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def place(fake: SimpleNamespace, tmp_path: Path) -> Path:
    pack(fake.write(tmp_path / "derivatives", 16), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    (tmp_path / "recipe.yaml").write_text(_RECIPE)
    return tmp_path


@pytest.fixture
def started() -> Iterator[Processes]:
    """Filled by a test; what still lives at its end is killed."""
    processes: Processes = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def _start(place: Path, started: Processes, fault: str = "none", **changes: str) -> None:
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port()} | changes
    started += [
        subprocess.Popen(
            [sys.executable, _WORKER, fault, str(_TIMEOUT_SECONDS)],
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "FATAL"}
            | group
            | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def _wait_for_steps(place: Path, count: int = 6) -> None:
    log = place / "run" / "log.jsonl"
    for _ in range(3600):
        if log.is_file() and log.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.05)
    raise TimeoutError


def _last_words(process: subprocess.Popen[str], seconds: float) -> str:
    _, said = process.communicate(timeout=seconds)
    assert "Traceback" not in said
    return re.sub(" [0-9]+ s", " N s", said.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "lost", "seconds", "cause"),
    [
        (signal.SIGKILL, 1, 25, "process 1 of 2 on .* has said nothing for N s"),
        (signal.SIGKILL, 0, 25, "process 0, or its machine, is gone"),
        (signal.SIGSTOP, 1, _TIMEOUT_SECONDS + 20, "process 1 of 2 .* killed or stopped"),
        (signal.SIGSTOP, 0, _TIMEOUT_SECONDS + 20, "process 0, where all meet, has not answered"),
    ],
)
def test_a_process_killed_or_stopped_ends_the_others_who_name_it(  # noqa: PLR0917
    place: Path,
    started: Processes,
    number: signal.Signals,
    lost: int,
    seconds: float,
    cause: str,
) -> None:
    """Case P11."""
    _start(place, started)
    _wait_for_steps(place)
    started[lost].send_signal(number)
    other = started[1 - lost]
    words = _last_words(other, seconds)
    assert other.returncode == 2
    assert re.search(f"^RunError: {cause}.*the same command continues", words)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("fail", "failed: RunError: training: the memory is full"),
        ("hang", "stood still for N s while others waited .*waiting for scans"),
    ],
)
def test_a_process_that_fails_or_hangs_ends_all_with_its_cause(
    place: Path, started: Processes, fault: str, cause: str
) -> None:
    """Cases P6, P9 and P11."""
    _start(place, started, fault)
    words = [_last_words(process, 60) for process in started]
    assert [process.returncode for process in started] == [2, 2]
    assert re.search(f"^RunError: process 1 of 2 on .* {cause}", words[0])
    assert re.search("memory is full|process 1 of 2", words[1])


@pytest.mark.slow
def test_too_many_scans_that_one_process_cannot_read_end_all(
    place: Path, started: Processes
) -> None:
    """Case P7: what it could not read is in the files of the other, which saved the run."""
    _start(place, started, "unreadable")
    words = [_last_words(process, 120) for process in started]
    assert [process.returncode for process in started] == [2, 2]
    for line in words:
        assert re.search("^RunError: .*scans could not be used.*pack --verify", line)
    bad = json.loads((place / "run" / "bad_scans.json").read_text())
    assert all("Input/output error" in each["reason"] for each in bad)
    found = find_checkpoint(place / "run")
    assert found is not None
    assert found.checkpoint.position.step == bad[0]["step"] - 1


@pytest.mark.slow
def test_a_hanging_disk_ends_a_process_alone(place: Path) -> None:
    """Case P6."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    alone = subprocess.run(
        [sys.executable, _WORKER, "hang", "3", "alone"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert alone.returncode == 2
    assert "RunError: no scan came for 3 s before step" in alone.stderr


@pytest.mark.slow
def test_a_signal_to_one_process_saves_and_ends_all(place: Path, started: Processes) -> None:
    """Case P3."""
    _start(place, started)
    _wait_for_steps(place)
    started[1].send_signal(signal.SIGTERM)
    began = time.monotonic()
    words = [_last_words(process, 20) for process in started]
    assert time.monotonic() - began < 20
    assert [process.returncode for process in started] == [75, 75]
    assert words[0] == words[1]
    assert re.search("^RunStoppedError: stopped on request after step", words[0])


@pytest.mark.slow
def test_a_port_in_use_is_told_in_a_line(place: Path, started: Processes) -> None:
    """Case P15."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        _start(place, started, MASTER_PORT=port)
        words = [_last_words(process, 55) for process in started]
    assert [process.returncode for process in started] == [2, 2]
    assert f"127.0.0.1:{port}: another program uses port {port}" in words[0]
    assert "process 1 of 2 did not find the others there" in words[1]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"MASTER_ADDR": "no-such-host.invalid"}, {"WORLD_SIZE": "3"}])
def test_processes_that_do_not_find_each_other_end_within_a_minute(
    place: Path, started: Processes, changes: dict[str, str]
) -> None:
    """Case P15: a wrong MASTER_ADDR, or a process that was never started."""
    _start(place, started, **changes)
    words = [_last_words(process, 55) for process in started]
    assert [process.returncode for process in started] == [2, 2]
    assert all("did not find the others there" in line or "process" in line for line in words)


@pytest.mark.slow
def test_a_folder_that_is_taken_ends_all_processes(place: Path, started: Processes) -> None:
    """Case F5."""
    _start(place, started)
    _wait_for_steps(place, 2)
    _start(place, started)
    words = [_last_words(process, 40) for process in started[2:]]
    assert "another neurofm process is writing here" in words[0]
    assert "process 0 of 2" in words[1]
    assert "another neurofm process is writing here" in words[1]
