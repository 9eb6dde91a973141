"""Scans side by side on a dask cluster: each of its threads owns a process that does the work.

The process keeps a crash, a hang and the threads of the libraries away from the dask worker, just
as on one machine, so both give the same results and the same failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
import queue
import threading
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neurofm.errors import ConfigError, MissingDependencyError, RunError
from neurofm.files import probe_file, read_json
from neurofm.preprocess.jobs import AnyWork, Job, JobT, ResultT, RunJobs
from neurofm.preprocess.scan_process import ProcessDiedError, ScanProcess
from neurofm.preprocess.workers import died_twice, timed_out
from neurofm.versions import package_version, software_record

if TYPE_CHECKING:
    from distributed import Client

_CONNECT_SECONDS = 10
_FIRST_WORKER_SECONDS = 10
_ABANDONED_SECONDS = 300.0
_LOOK_SECONDS = 10.0
_TASKS_AT_ONCE = 500
# What may differ between machines without changing a number.
_NO_MATTER = ("python", "platform", "cpu_count", "neurofm")


@contextlib.contextmanager
def workers_at(
    address: str, seen: Sequence[Path], scan_minutes: float, work: Callable[[JobT], ResultT]
) -> Iterator[RunJobs[JobT, ResultT]]:
    """Connect to a dask cluster whose workers are fit for the work, and yield what does tasks.

    Args:
        address: the scheduler's, such as tcp://node1:8786, or the path of its scheduler file.
        seen: files and folders that every worker must see; the first is the output folder.
        scan_minutes: a scan at work for longer is a failure, its process is killed; 0 for no limit.
        work: what is done with each task.

    Raises:
        MissingDependencyError: dask.distributed is not installed.
        RunError: no scheduler answers, it has no workers, or one of them has other software or
            does not see the files; later, that the cluster is gone.
    """
    distributed = _library()
    run = uuid.uuid4().hex
    with _connected(distributed, address) as client:
        _require_same_software(client)
        _require_same_files(client, seen)
        do_one = functools.partial(_do_here, run=run, scan_minutes=scan_minutes, work=work)
        try:
            yield functools.partial(_do_all, distributed, client, do_one)
        finally:
            if client.status == "running":
                with contextlib.suppress(OSError, TimeoutError):
                    client.run(_end_here, run, on_error="ignore")


def _library() -> ModuleType:
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise MissingDependencyError(
            "--dask needs dask.distributed", "pip install 'neurofm[cluster]'"
        ) from None


@contextlib.contextmanager
def _connected(distributed: ModuleType, address: str) -> Iterator[Client]:
    if Path(address).is_file():
        address = _address_in(Path(address))
    elif ":" not in address:
        raise ConfigError(
            "neither a scheduler file nor an address such as tcp://node1:8786",
            "start dask scheduler and give what it prints",
            f"--dask {address}",
        )
    try:
        # Asked first, because a client that gets no sensible answer takes long to give up.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(asyncio.run, _ask_for_answer(distributed, address)).result()
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError, MemoryError) as error:
        # The MemoryError is for the length that another server's first bytes seem to announce.
        raise RunError(
            f"no dask scheduler answers ({_first_line(error)})",
            "start one, or check the address",
            f"--dask {address}",
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
        except TimeoutError:
            raise RunError(
                "the scheduler has no workers",
                "start some, e.g. dask worker ADDRESS --nthreads 1",
                f"--dask {address}",
            ) from None
        yield client


def _address_in(file: Path) -> str:
    try:
        return str(read_json(file)["address"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            "is no scheduler file", "give the one that dask scheduler --scheduler-file wrote", file
        ) from None


async def _ask_for_answer(distributed: ModuleType, address: str) -> None:
    arguments = distributed.Security().get_connection_args("client")
    comm = await distributed.comm.connect(address, timeout=_CONNECT_SECONDS, **arguments)
    comm.abort()


def _require_same_software(client: Client) -> None:
    ours = package_version("neurofm")
    for worker, theirs in _ask(client, metadata.version, "neurofm").items():
        if theirs != ours:
            have = theirs if isinstance(theirs, str) else "none"
            raise RunError(
                f"its neurofm is {have}, here it is {ours}",
                "install the same version there, in the Python that runs dask worker",
                worker,
            )
    here = software_record()
    for worker, there in _ask(client, software_record).items():
        record = there if isinstance(there, dict) else {}
        for name in sorted({*here, *record} - set(_NO_MATTER)):
            if here.get(name) != record.get(name):
                raise RunError(
                    f"its {name} is {record.get(name, 'none')}, here it is {here.get(name)}",
                    "install the same version there, or results may differ",
                    worker,
                )


def _require_same_files(client: Client, seen: Sequence[Path]) -> None:
    with probe_file(seen[0]) as probe:
        for path in (probe, *seen[1:]):
            for worker, sees in _ask(client, os.path.exists, str(path.absolute())).items():
                if sees is not True:
                    raise RunError(
                        f"does not see {path.parent if path == probe else path}",
                        "use a folder that all machines share",
                        worker,
                    )


def _ask(client: Client, question: Callable[..., object], *arguments: str) -> dict[str, object]:
    """The answer, or the exception, of every worker."""
    answers: dict[str, object] = client.run(question, *arguments, on_error="return")
    return answers


def _do_all(
    distributed: ModuleType,
    client: Client,
    do_one: AnyWork,
    tasks: Sequence[Job],
) -> Generator[Any, None, None]:
    keys = [f"neurofm-{uuid.uuid4().hex}" for _ in tasks]
    by_key = dict(zip(keys, tasks, strict=True))
    finished: queue.SimpleQueue[Any] = queue.SimpleQueue()
    futures = client.map(do_one, tasks, key=keys, pure=False, batch_size=_TASKS_AT_ONCE)
    try:
        for future in futures:
            future.add_done_callback(finished.put)
        while by_key:
            future = _next(finished, client)
            task = by_key.pop(future.key)
            try:
                yield future.result()
            except distributed.KilledWorker:
                reason = (
                    "every dask worker that was at work on it was killed, most likely for lack of "
                    "memory; give each worker more, or fewer threads"
                )
                yield task.failed("start", "killed", reason)
            except distributed.CancelledError:
                raise _cluster_lost() from None
            future.release()
    finally:
        if client.status == "running":
            client.cancel(futures, force=True)


def _next(finished: queue.SimpleQueue[Any], client: Client) -> Any:
    """The next future that is done; an error where nobody is left to do any."""
    waited = 0.0
    while True:
        try:
            return finished.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if client.status != "running":
                raise _cluster_lost() from None
            waited = 0.0 if client.nthreads() else waited + _LOOK_SECONDS
            if waited >= _ABANDONED_SECONDS:
                raise RunError(
                    f"the dask cluster has had no worker for {waited / 60:g} minutes",
                    "start workers; the same command goes on with what is left",
                ) from None


def _cluster_lost() -> RunError:
    return RunError(
        "the dask scheduler is gone",
        "start it and its workers again; the same command goes on with what is left",
    )


# From here on: what happens inside a dask worker.

_processes: dict[tuple[str, int], ScanProcess] = {}
_ended_runs: set[str] = set()


def _do_here(task: Job, run: str, scan_minutes: float, work: AnyWork) -> Any:
    """Have this thread's own process do a task; a second one, if the first dies."""
    key = (run, threading.get_ident())
    death = ProcessDiedError(0)
    for deaths in range(2):
        if run in _ended_runs:
            raise RunError("the command that wanted this scan is over")
        process = _processes.get(key) or ScanProcess(work, threads=1)
        _processes[key] = process
        process.begin(task)
        try:
            if not process.has_result_within(scan_minutes * 60 if scan_minutes else None):
                _processes.pop(key, None)
                process.kill()
                return timed_out(task, scan_minutes)
            return process.result().after_deaths(deaths)
        except ProcessDiedError as died:
            death = died
            _processes.pop(key, None)
    return died_twice(task, death).after_deaths(2)


def _end_here(run: str) -> None:
    """End a run's processes, those at work too."""
    _ended_runs.add(run)
    for key in [key for key in _processes if key[0] == run]:
        # The thread that waits for it notices, and clears up.
        process = _processes.pop(key)
        if process.task is None:
            process.kill()
        else:
            process.signal_kill()


def _first_line(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "something else does"
    return (str(error) or type(error).__name__).splitlines()[0]
