"""Scans side by side in processes of one machine; a crash or a hang of one costs one scan."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from neurofm.preprocess.jobs import AnyWork, Job, JobT, ResultT
from neurofm.preprocess.scan_process import (
    START_SECONDS,
    ProcessDiedError,
    ScanProcess,
    name_of,
)

# A scan takes 15 to 30 s, with an outside program up to some 20 minutes; beyond this it hangs.
DEFAULT_SCAN_MINUTES = 60.0
# What one scan needs at most, measured on 0.7 mm heads.
_MEMORY_GB = 3.0


_started_ahead: list[ScanProcess] = []


@contextlib.contextmanager
def process_ahead(work: str, prelude: str) -> Iterator[None]:
    """Start a process that `run_tasks` takes for a single task; what it does not take is ended.

    Where a command works on one scan, half a minute of loading libraries goes on beside its own.

    Args:
        work: "module:function", what is done with the task.
        prelude: "module:function", what the process does until there is one.
    """
    process = ScanProcess(work, _free_cores(), prelude)
    _started_ahead.append(process)
    try:
        yield
    finally:
        if process in _started_ahead:
            _started_ahead.remove(process)
            process.kill()


def suggested_workers() -> int:
    """As many processes as this machine has free cores and memory for, at least one."""
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    return max(1, min(_free_cores(), int(memory_gb / _MEMORY_GB)))


def run_tasks(
    tasks: Sequence[JobT],
    workers: int,
    scan_minutes: float,
    work: Callable[[JobT], ResultT],
) -> Generator[ResultT, None, None]:
    """Yield the outcome of every task as it is finished, in any order.

    A scan whose process dies is tried again at the end, with nothing beside it. A process that the
    system killed, as it does when memory runs out, is not replaced as long as others are left.

    Args:
        tasks: the scans, or other jobs.
        workers: processes; 0 works in this process, without a time limit.
        scan_minutes: a scan at work for longer is a failure, its process is killed; 0 for no limit.
            The start of the process does not count.
        work: what is done with each task.

    Raises:
        RunError: the output folder cannot be written to any more.
    """
    if workers <= 0:
        yield from map(work, tasks)
        return
    pool = _Pool(work, max(1, _free_cores() // workers), scan_minutes)
    try:
        yield from pool.run(tasks, workers)
        for task in pool.died:
            yield pool.again(task)
    finally:
        pool.close()


def timed_out(task: Job, scan_minutes: float) -> Any:
    """The outcome of a scan that was given up."""
    reason = (
        f"was not done after {scan_minutes:g} minutes and was stopped; "
        "look at the scan, or raise --scan-minutes"
    )
    return task.failed("start", "timeout", reason)


def died_twice(task: Job, death: ProcessDiedError) -> Any:
    """The outcome of a scan whose process died, and died again."""
    mend = "use a machine with more" if death.was_killed else "look at the scan"
    kind = "killed" if death.was_killed else "crashed"
    reason = f"the process at work on it {death}, a second time too; {mend}"
    return task.failed("start", kind, reason)


@dataclass
class _Pool:
    """Processes at work, each with the time by which it must be done."""

    work: AnyWork
    threads: int
    scan_minutes: float
    busy: dict[ScanProcess, float] = field(default_factory=dict)
    idle: list[ScanProcess] = field(default_factory=list)
    died: list[Job] = field(default_factory=list)

    def run(self, tasks: Sequence[Job], workers: int) -> Iterator[Any]:
        waiting = deque(tasks)
        while waiting or self.busy:
            while waiting and len(self.busy) < workers:
                self._begin(waiting.popleft())
            for process in self._ready():
                task = process.task
                try:
                    if self._has_only_started(process):
                        continue
                    outcome = self._finish(process)
                except ProcessDiedError as death:
                    if task:
                        self.died.append(task)
                    if death.was_killed:
                        workers = max(1, workers - 1)
                else:
                    yield outcome
            yield from self._overdue()

    def again(self, task: Job) -> Any:
        """Try a task on which a process died, alone."""
        self.close()
        self._begin(task)
        while ready := self._ready():
            try:
                if not self._has_only_started(ready[0]):
                    return self._finish(ready[0]).after_deaths(1)
            except ProcessDiedError as death:
                return died_twice(task, death).after_deaths(2)
        return next(self._overdue()).after_deaths(1)

    def close(self) -> None:
        for process in (*self.busy, *self.idle):
            process.kill()
        self.busy, self.idle = {}, []

    def _begin(self, task: Job) -> None:
        if self.idle:
            process, start = self.idle.pop(), 0.0
        else:
            process, start = self._new_process(), START_SECONDS
        self.busy[process] = self._end(start)
        process.begin(task)

    def _new_process(self) -> ScanProcess:
        wanted = (name_of(self.work), self.threads)
        for process in _started_ahead:
            if (process.work, process.threads) == wanted:
                _started_ahead.remove(process)
                return process
        return ScanProcess(self.work, self.threads)

    def _end(self, more_seconds: float = 0.0) -> float:
        """When a scan that begins now must be done."""
        if not self.scan_minutes:
            return float("inf")
        return time.monotonic() + 60 * self.scan_minutes + more_seconds

    def _has_only_started(self, process: ScanProcess) -> bool:
        """Whether a process that can be read has just begun with its first scan."""
        try:
            started = process.has_only_started()
        except BaseException:
            del self.busy[process]
            raise
        if started:
            self.busy[process] = self._end()
        return started

    def _ready(self) -> list[ScanProcess]:
        """Processes that have an answer or have died; none when one is overdue."""
        first = min(self.busy.values())
        patience = None if first == float("inf") else max(0.0, first - time.monotonic())
        by_pipe = {process.pipe: process for process in self.busy}
        return [by_pipe[pipe] for pipe in wait(list(by_pipe), patience) if pipe in by_pipe]

    def _finish(self, process: ScanProcess) -> Any:
        del self.busy[process]
        try:
            outcome = process.result()
        except BaseException:
            process.kill()
            raise
        self.idle.append(process)
        return outcome

    def _overdue(self) -> Iterator[Any]:
        now = time.monotonic()
        for process in [process for process, end in self.busy.items() if end <= now]:
            del self.busy[process]
            process.kill()
            if process.task:
                yield timed_out(process.task, self.scan_minutes)


def _free_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
