"""Scans on a dask cluster: results and failures as on one machine, a clear line if it is unfit."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS
from neurofm.config import PreprocessConfig
from neurofm.errors import ConfigError, MissingDependencyError, RunError
from neurofm.preprocess.batch import preprocess_index
from neurofm.preprocess.cluster import workers_at
from neurofm.preprocess.contract import contract_of
from neurofm.preprocess.naming import OutputNames
from neurofm.preprocess.outputs import Plan
from neurofm.preprocess.tasks import Outcome, Task

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def obey() -> Iterator[Callable[[Task], Outcome]]:
    """Work that hangs or dies as the path of its scan says; workers can import it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        yield importlib.import_module("stubborn_work").obey


@pytest.fixture(scope="module")
def address(obey: object) -> Iterator[str]:
    """A cluster of two processes on this machine."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


def tasks(folder: Path, *words: str) -> list[Task]:
    config = PreprocessConfig(spacing_mm=6)
    plan = Plan(folder, config, contract_of(config), "bids")
    names = OutputNames(*[""] * 7)
    return [
        Task(number, folder / f"{word}-{number}", None, f"c/{number}", None, names, plan)
        for number, word in enumerate(words)
    ]


def index_of(paths: dict[str, Path]) -> pd.DataFrame:
    rows = [
        dict.fromkeys(COLUMNS)
        | {"scan_id": f"c_{name}", "cohort": "c", "participant_id": name, "path": str(path)}
        for name, path in paths.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.suffix in {".gz", ".txt", ".png"}]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_cluster_gives_the_bytes_of_one_machine_and_keeps_what_is_finished(
    address: str, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"<html>")
    frame = index_of({"p1": scan_file, "bad": bad})
    here = preprocess_index(frame, tmp_path / "here", quick_config, 0)
    there = preprocess_index(frame, tmp_path / "there", quick_config, cluster=address)
    assert (there.finished, there.reused, there.failures) == (1, 0, here.failures)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    again = preprocess_index(frame, tmp_path / "there", quick_config, cluster=address)
    assert (again.finished, again.reused, again.failures) == (0, 1, here.failures)


def test_on_a_cluster_a_hung_or_dying_scan_costs_only_itself(
    address: str, obey: Callable[[Task], Outcome], tmp_path: Path
) -> None:
    """P16 and P5 on a cluster."""
    wanted = tasks(tmp_path, "fine", "hang", "die", "once", "fine")
    with workers_at(address, [tmp_path], 12 / 60, obey) as run:
        outcomes = list(run(wanted))
    found = {outcome.row: outcome.failure and outcome.failure.kind for outcome in outcomes}
    assert found == {0: None, 1: "timeout", 2: "killed", 3: None, 4: None}


def test_an_error_that_concerns_all_scans_stops_and_leaves_no_process(
    address: str, obey: Callable[[Task], Outcome], tmp_path: Path
) -> None:
    wanted = tasks(tmp_path, "full", "hang", "fine")
    with (
        pytest.raises(RunError, match="the disk is full"),
        workers_at(address, [tmp_path], 0, obey) as run,
    ):
        list(run(wanted))
    with distributed.Client(address, set_as_default=False) as client:
        time.sleep(0.5)
        assert client.run(count_scan_processes) == dict.fromkeys(client.nthreads(), 0)


def count_scan_processes() -> int:
    children = [
        child
        for listed in Path("/proc/self/task").glob("*/children")
        for child in listed.read_text(encoding="ascii").split()
    ]
    return sum(b"scan_process" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_one_line_in_bounded_time(tmp_path: Path) -> None:
    started = time.monotonic()
    with (
        pytest.raises(RunError, match="no dask scheduler answers"),
        workers_at(f"tcp://127.0.0.1:{free_port()}", [tmp_path], 0, obey),
    ):
        pass
    assert time.monotonic() - started < 30


def test_another_kind_of_server_is_told_from_a_scheduler(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = threading.Thread(target=speak_http, args=(server,), daemon=True)
        answer.start()
        place = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(RunError, match="something else does"),
            workers_at(place, [tmp_path], 0, obey),
        ):
            pass


def speak_http(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(1024)


def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="neither a scheduler file nor an address"),
        workers_at("scheduler.jsn", [tmp_path], 0, obey),
    ):
        pass
    (tmp_path / "s.json").write_text("[]", encoding="ascii")
    with (
        pytest.raises(ConfigError, match="is no scheduler file"),
        workers_at(str(tmp_path / "s.json"), [tmp_path], 0, obey),
    ):
        pass


def test_without_the_extra_the_pip_line_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(MissingDependencyError, match=r"neurofm\[cluster\]"),
        workers_at("tcp://127.0.0.1:1", [tmp_path], 0, obey),
    ):
        pass


def test_workers_that_do_not_see_the_files_are_refused(address: str, tmp_path: Path) -> None:
    elsewhere = tmp_path / "on-another-disk.nii.gz"
    with (
        pytest.raises(RunError, match=r"does not see .*on-another-disk"),
        workers_at(address, [tmp_path, elsewhere], 0, obey),
    ):
        pass


@pytest.mark.slow
def test_a_scheduler_without_workers_is_refused(tmp_path: Path) -> None:
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(RunError, match="has no workers"),
        workers_at(empty.scheduler_address, [tmp_path], 0, obey),
    ):
        pass


@pytest.mark.slow
def test_a_worker_with_another_neurofm_is_refused(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    (packages / "neurofm-9.9.dist-info").mkdir(parents=True)
    about = "Metadata-Version: 2.1\nName: neurofm\nVersion: 9.9\n"
    (packages / "neurofm-9.9.dist-info" / "METADATA").write_text(about, encoding="ascii")
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0") as cluster:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        worker = subprocess.Popen(
            [*command, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
            env=os.environ | {"PYTHONPATH": str(packages)},
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        try:
            with (
                pytest.raises(RunError, match=r"its neurofm is 9\.9"),
                workers_at(cluster.scheduler_address, [tmp_path], 0, obey),
            ):
                pass
        finally:
            worker.kill()
            worker.wait()


@pytest.mark.slow
def test_killed_dask_workers_lose_no_scan(
    address: str, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """P5 on a cluster: the nanny starts the worker again, the scheduler hands out its scan."""
    paths = {f"p{number}": tmp_path / f"p{number}.nii.gz" for number in range(6)}
    for path in paths.values():
        shutil.copy(scan_file, path)
    killer = threading.Thread(target=kill_a_worker, args=(address, tmp_path / "there"))
    killer.start()
    done = preprocess_index(index_of(paths), tmp_path / "there", quick_config, cluster=address)
    killer.join()
    assert (tmp_path / "there" / "killed").is_file()
    assert (done.finished, done.failures) == (6, ())
    preprocess_index(index_of(paths), tmp_path / "here", quick_config, 0)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def kill_a_worker(address: str, folder: Path) -> None:
    with distributed.Client(address, set_as_default=False) as client:
        numbers = list(client.run(os.getpid).values())
        while not list(folder.rglob("*desc-preproc_T1w.nii.gz")):
            time.sleep(0.02)
        os.kill(numbers[0], signal.SIGKILL)
        (folder / "killed").touch()


@pytest.mark.slow
def test_a_scheduler_that_goes_away_ends_the_work_with_one_line(
    obey: Callable[[Task], Outcome], tmp_path: Path
) -> None:
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
    place = cluster.scheduler_address
    with (
        pytest.raises(RunError, match="scheduler is gone"),
        workers_at(place, [tmp_path], 0, obey) as run,
    ):
        ending = threading.Timer(3, cluster.close)
        ending.start()
        list(run(tasks(tmp_path, "hang", "hang")))
    ending.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
