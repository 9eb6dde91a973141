"""Scans side by side in a pool of processes that outlives the death of any of them."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from neurofm.cohorts.failures import Failure, failure_of
from neurofm.errors import NeurofmError, RunError, ScanError
from neurofm.preprocess.naming import OutputNames
from neurofm.preprocess.outputs import Plan, Summary, write_outputs
from neurofm.preprocess.pipeline import StepClock, prepare_scan

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)  # fmt: skip
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
# What one scan needs at most, measured on 0.7 mm heads.
_MEMORY_GB = 3.0


@dataclass(frozen=True)
class Task:
    """One scan to prepare: what, from where, to where.

    Attributes:
        row: its place in the index.
        sha256: its indexed checksum; None where the index has none.
    """

    row: int
    path: Path
    mask_path: Path | None
    participant: str
    sha256: str | None
    names: OutputNames
    plan: Plan


@dataclass(frozen=True)
class Outcome:
    """What became of one scan: a summary, a failure, or both where the result is not usable."""

    row: int
    summary: Summary | None
    failure: Failure | None


def suggested_workers() -> int:
    """As many processes as this machine has free cores and memory for, at least one."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    return max(1, min(cores, int(memory_gb / _MEMORY_GB)))


def run_tasks(tasks: Sequence[Task], workers: int) -> Iterator[Outcome]:
    """Yield the outcome of every task as it is finished, in any order.

    Where a worker is killed, as by the system when memory runs out, the scans it and its
    neighbours were at are tried again one at a time, so only the culprit is a failure.

    Args:
        tasks: the scans.
        workers: processes; 0 works in this process.

    Raises:
        RunError: the output folder cannot be written to any more.
    """
    if workers < 1:
        yield from map(prepare_and_write, tasks)
        return
    waiting = deque(tasks)
    with _threads_for(workers):
        while waiting:
            suspects: list[Task] = []
            yield from _until_broken(waiting, workers, suspects)
            for task in suspects:
                yield _alone(task)


def prepare_and_write(task: Task) -> Outcome:
    """Prepare one scan and write its results; a bad scan is an outcome, not an exception."""
    clock = StepClock()
    try:
        prepared = prepare_scan(
            task.path,
            task.plan.config,
            task.mask_path,
            expected_sha256=task.sha256,
            clock=clock,
        )
        clock.current = "write"
        summary = write_outputs(task.plan, task.names, prepared, task.mask_path)
    except ScanError as error:
        failure = failure_of(error, task.path, task.participant, clock.current)
        return Outcome(task.row, None, failure)
    except NeurofmError:
        raise
    except MemoryError:
        return Outcome(task.row, None, _failure(task, clock.current, "memory", _OUT_OF_MEMORY))
    except OSError as error:
        if clock.current == "write" and error.errno in _DISK_ERRORS:
            raise RunError(
                f"cannot be written to any more ({error.strerror})",
                "make room; the same command goes on with the scan it was at",
                task.plan.folder,
            ) from None
        reason = f"{type(error).__name__}: {error.strerror or error}"
        return Outcome(task.row, None, _failure(task, clock.current, "unexpected", reason))
    except Exception as error:  # noqa: BLE001 - whatever a library throws, the other scans go on
        reason = f"{type(error).__name__}: {error}"
        return Outcome(task.row, None, _failure(task, clock.current, "unexpected", reason))
    return Outcome(task.row, summary, quality_failure(task, summary))


def quality_failure(task: Task, summary: Summary) -> Failure | None:
    """The failure of a scan whose result must not be used, or None."""
    if summary.verdict != "fail":
        return None
    reason = f"{', '.join(summary.reasons)}; look at {task.names.picture}"
    return _failure(task, "quality", "quality", reason)


_OUT_OF_MEMORY = "there is not enough memory for it; use fewer --workers"


def _failure(task: Task, step: str, kind: str, reason: str) -> Failure:
    return Failure(str(task.path), task.participant, step, kind, " ".join(reason.split()))


def _until_broken(waiting: deque[Task], workers: int, suspects: list[Task]) -> Iterator[Outcome]:
    """Yield outcomes until all are done or a worker dies; then `suspects` holds who was in work."""
    running: dict[Future[Outcome], Task] = {}
    with _pool(workers) as pool:
        try:
            while (waiting or running) and not suspects:
                # No more in flight than workers: the rest are no suspects when one dies.
                while waiting and len(running) < workers:
                    running[pool.submit(prepare_and_write, waiting[0])] = waiting[0]
                    waiting.popleft()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    try:
                        outcome = future.result()
                    except BrokenProcessPool:
                        suspects.append(task)
                    else:
                        yield outcome
        except BrokenProcessPool:
            pass
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    suspects += running.values()


def _alone(task: Task) -> Outcome:
    with _pool(1) as pool:
        try:
            return pool.submit(prepare_and_write, task).result()
        except BrokenProcessPool:
            reason = "the process at work on it was killed, most likely for lack of memory; " + (
                "use a machine with more, or a smaller scan"
            )
            return Outcome(task.row, None, _failure(task, "start", "killed", reason))


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@contextlib.contextmanager
def _threads_for(workers: int) -> Iterator[None]:
    """Give each worker started meanwhile its share of the cores."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(max(1, cores // workers))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
