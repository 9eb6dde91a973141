"""Processes side by side: whatever happens to one costs one scan, and none is left behind."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurofm.config import PreprocessConfig
from neurofm.errors import RunError
from neurofm.preprocess.contract import contract_of
from neurofm.preprocess.naming import OutputNames
from neurofm.preprocess.outputs import Plan
from neurofm.preprocess.tasks import Outcome, Task
from neurofm.preprocess.workers import process_ahead, run_tasks, suggested_workers

SECONDS = 1 / 60


@pytest.fixture
def obey(monkeypatch: pytest.MonkeyPatch) -> Callable[[Task], Outcome]:
    """Work that hangs or dies as the path of its scan says; scan processes can import it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    work: Any = importlib.import_module("stubborn_work").obey
    return work  # type: ignore[no-any-return]


def tasks(folder: Path, *words: str) -> list[Task]:
    config = PreprocessConfig(spacing_mm=6)
    plan = Plan(folder, config, contract_of(config), "bids")
    names = OutputNames(*[""] * 7)
    return [
        Task(number, folder / f"{word}-{number}", None, f"c/{number}", None, names, plan)
        for number, word in enumerate(words)
    ]


def kinds(outcomes: list[Outcome]) -> dict[int, str]:
    return {
        outcome.row: outcome.failure.kind if outcome.failure else "fine" for outcome in outcomes
    }


def test_a_scan_over_the_time_limit_is_a_failure_and_the_others_are_done(
    obey: Callable[[Task], Outcome], tmp_path: Path
) -> None:
    """P16: a hung scan's process is killed; its row says so and names the option.

    Starting a process takes longer than this limit.
    """
    wanted = tasks(tmp_path, "fine", "hang", "fine", "fine")
    outcomes = list(run_tasks(wanted, 2, 2 * SECONDS, obey))
    assert kinds(outcomes) == {0: "fine", 1: "timeout", 2: "fine", 3: "fine"}
    (failure,) = [outcome.failure for outcome in outcomes if outcome.failure]
    assert "--scan-minutes" in failure.reason


@pytest.mark.slow
def test_what_a_killed_process_had_started_is_killed_with_it(
    obey: Callable[[Task], Outcome], tmp_path: Path
) -> None:
    """P16: an outside program in a session of its own does not outlive its scan."""
    (outcome,) = run_tasks(tasks(tmp_path, "sub"), 1, 4 * SECONDS, obey)
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"
    assert not is_alive(int((tmp_path / "sub-0").read_text(encoding="ascii")))


def test_a_process_that_is_killed_costs_its_scan_a_second_try_only(
    obey: Callable[[Task], Outcome], tmp_path: Path
) -> None:
    """P5: a worker SIGKILLed once is no failure; twice, it names the likely cause."""
    wanted = tasks(tmp_path, "fine", "once", "die", "fine", "crash", "leave")
    outcomes = list(run_tasks(wanted, 3, 0, obey))
    assert kinds(outcomes) == {
        0: "fine", 1: "fine", 2: "killed", 3: "fine", 4: "crashed", 5: "crashed",
    }  # fmt: skip
    reasons = {outcome.row: outcome.failure.reason for outcome in outcomes if outcome.failure}
    assert "lack of memory" in reasons[2]
    assert "SIGSEGV" in reasons[4]
    assert "status 3" in reasons[5]
    assert {outcome.row: outcome.deaths for outcome in outcomes} == {
        0: 0, 1: 1, 2: 2, 3: 0, 4: 2, 5: 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cores", "share"), [pytest.param({0}, "1", marks=pytest.mark.slow), (set(range(9)), "4")]
)
def test_processes_share_the_cores(
    cores: set[int], share: str, obey: Callable[[Task], Outcome], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("os.sched_getaffinity", lambda _: cores)
    assert len(list(run_tasks(tasks(tmp_path, "threads", "threads"), 2, 0, obey))) == 2
    for number in range(2):
        limits = (tmp_path / f"threads-{number}").read_text(encoding="ascii").split()
        assert len(limits) == 4
        assert set(limits) == {share}


@pytest.mark.parametrize(("memory_gb", "workers"), [(1, 1), (3.5, 1), (25, 8), (500, 16)])
def test_as_many_processes_are_suggested_as_cores_and_memory_allow(
    memory_gb: float, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    pages = {"SC_PHYS_PAGES": int(memory_gb * 2**18), "SC_PAGE_SIZE": 2**12}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    assert suggested_workers() == workers


def test_a_full_disk_stops_all(obey: Callable[[Task], Outcome], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the disk is full"):
        list(run_tasks(tasks(tmp_path, "full", "hang"), 2, 0, obey))


def test_no_process_works_on_for_nobody(obey: Callable[[Task], Outcome], tmp_path: Path) -> None:
    running = run_tasks(tasks(tmp_path, "sub", "fine"), 2, 0, obey)
    next(running)
    deadline = time.monotonic() + 20
    while not (tmp_path / "sub-0").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.close()
    time.sleep(0.1)
    assert not is_alive(int((tmp_path / "sub-0").read_text(encoding="ascii")))


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a process started ahead leaves its number."""
    monkeypatch.setenv("READY_FILE", str(tmp_path / "ready"))
    return tmp_path / "ready"


def test_a_process_started_ahead_does_a_single_task(
    obey: Callable[[Task], Outcome], ready: Path, tmp_path: Path
) -> None:
    with process_ahead("stubborn_work:obey", "stubborn_work:get_ready"):
        (outcome,) = run_tasks(tasks(tmp_path, "number"), 1, 0, obey)
    assert kinds([outcome]) == {0: "fine"}
    assert (tmp_path / "number-0").read_text() == ready.read_text()


@pytest.mark.usefixtures("obey")
def test_a_process_started_ahead_for_nothing_ends(ready: Path) -> None:
    with process_ahead("stubborn_work:obey", "stubborn_work:get_ready"):
        while not ready.is_file() or not ready.stat().st_size:
            time.sleep(0.02)
    assert not is_alive(int(ready.read_text()))


@pytest.mark.slow
def test_two_tasks_have_processes_of_their_own(
    obey: Callable[[Task], Outcome], ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them may use half the cores only."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)))
    with process_ahead("stubborn_work:obey", "stubborn_work:get_ready"):
        list(run_tasks(tasks(tmp_path, "number", "number"), 2, 0, obey))
        at_work = {(tmp_path / f"number-{row}").read_text() for row in range(2)}
        while not ready.is_file() or not ready.stat().st_size:
            time.sleep(0.02)
        assert ready.read_text() not in at_work


def is_alive(number: int) -> bool:
    """Whether a process runs; one that is dead and only waits to be reaped does not."""
    try:
        status = Path(f"/proc/{number}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_scan_process_ends_with_its_owner_even_in_a_scan_that_hangs(tmp_path: Path) -> None:
    """P1: kill -9 of the command alone; the processes it started do not stay behind."""
    script = (
        "import os, sys, time; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from stubborn_work import obey; from test_workers import tasks\n"
        "from neurofm.preprocess.workers import run_tasks\n"
        "list(run_tasks(tasks(Path(sys.argv[2]), 'sub'), 1, 0, obey))\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), tmp_path])
    while not (tmp_path / "sub-0").is_file() or not (tmp_path / "sub-0").stat().st_size:
        assert owner.poll() is None
        time.sleep(0.02)
    owner.kill()
    owner.wait()
    program = int((tmp_path / "sub-0").read_text(encoding="ascii"))
    deadline = time.monotonic() + 20
    while is_alive(program) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(program)
