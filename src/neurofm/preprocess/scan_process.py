"""A process of its own that does one scan after another, so that a crash or a hang costs one."""

from __future__ import annotations

import contextlib
import os
import pickle
import pkgutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from neurofm.preprocess.jobs import AnyWork, Job

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)  # fmt: skip
# It finds modules where its owner does; the variable PYTHONPATH would reach outside programs too.
_START = """
import sys
sys.path[:] = sys.argv[2:]
from neurofm.preprocess.scan_process import serve
serve(int(sys.argv[1]))
"""
# Starting is not part of a scan's time: on a busy machine with a cold disk it takes half a minute.
START_SECONDS = 600.0
_UP = "up"
_LAST_BREATH_SECONDS = 10.0
_LOOK_SECONDS = 1.0


class ProcessDiedError(Exception):
    """The process ended without an answer.

    Args:
        status: its exit status; negative, the signal that killed it.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)

    @property
    def was_killed(self) -> bool:
        """Whether it was ended from outside, as the system does when memory runs out."""
        return self.status == -signal.SIGKILL

    def __str__(self) -> str:
        if self.was_killed:
            return "was killed, most likely for lack of memory"
        if self.status < 0:
            return f"crashed ({signal.Signals(-self.status).name})"
        return f"ended with status {self.status}"


class ScanProcess:
    """A Python process that waits for tasks; it is not forked, and ends when its owner does.

    Its `pipe` can be read once when it has started and then once for each task.

    Args:
        work: what is done with each task: "module:function", or a function that can be imported so.
        threads: how many threads the libraries in it may use.
        prelude: "module:function", called while it waits for the first task.
    """

    def __init__(self, work: AnyWork | str, threads: int, prelude: str = "") -> None:
        self.pipe, theirs = Pipe()
        self.work, self.threads = name_of(work), threads
        self.task: Job | None = None
        self._is_up = False
        limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), *sys.path],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=os.environ | limits,
            )
        with contextlib.suppress(BrokenPipeError):
            self.pipe.send_bytes(pickle.dumps((self.work, prelude)))

    @property
    def number(self) -> int:
        """The process id."""
        return self._process.pid

    def begin(self, task: Job) -> None:
        """Hand it a task; `result` is there as soon as `pipe` can be read."""
        self.task = task
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send_bytes(pickle.dumps(task))

    def has_only_started(self) -> bool:
        """Whether what can be read tells of the start alone; True once at most.

        Raises:
            ProcessDiedError: it did not start.
        """
        if self._is_up:
            return False
        self._receive()
        self._is_up = True
        return True

    def has_result_within(self, seconds: float | None) -> bool:
        """Wait this long at most for the result, the start not counted; None for no limit.

        Raises:
            ProcessDiedError: it did not start.
        """
        if not self._is_up:
            if not self.pipe.poll(None if seconds is None else START_SECONDS):
                return False
            self.has_only_started()
        return self.pipe.poll(seconds)

    def result(self) -> Any:
        """Wait for the result of the task.

        Raises:
            ProcessDiedError: there will be none.
            Exception: what the work raised.
        """
        self.has_only_started()
        answer = self._receive()
        self.task = None
        if isinstance(answer, BaseException):
            raise answer
        if not hasattr(answer, "after_deaths"):
            raise TypeError(f"the work gave {type(answer).__name__}, no result of a job")
        return answer

    def kill(self) -> None:
        """End it and everything it has started, at once."""
        self.signal_kill()
        self._ended()

    def signal_kill(self) -> None:
        """The same from another thread than the one that waits for `result`, which then fails."""
        if self._process.poll() is None:
            for number in _descendants(self.number):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            self._process.kill()

    def _receive(self) -> Any:
        try:
            return pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError, pickle.UnpicklingError):
            raise ProcessDiedError(self._ended()) from None

    def _ended(self) -> int:
        self.pipe.close()
        try:
            return self._process.wait(_LAST_BREATH_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def name_of(work: AnyWork | str) -> str:
    """A function as "module:function"."""
    return work if isinstance(work, str) else f"{work.__module__}:{work.__qualname__}"


def serve(descriptor: int) -> None:
    """Do tasks until the owner is gone; the process' own main function.

    Args:
        descriptor: of the pipe to the owner.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    pipe = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        name, prelude = pickle.loads(pipe.recv_bytes())
        work: AnyWork = pkgutil.resolve_name(name)
        pipe.send_bytes(pickle.dumps(_UP))
        if prelude:
            pkgutil.resolve_name(prelude)()
        while True:
            task: Job = pickle.loads(pipe.recv_bytes())
            answer: object
            try:
                answer = work(task)
            except Exception as error:  # noqa: BLE001 - it is raised again in the owner
                answer = error
            pipe.send_bytes(pickle.dumps(answer))


def _end_with(owner: int) -> None:
    """End this process soon after its owner, even in the middle of a scan that hangs."""
    while os.getppid() == owner:
        time.sleep(_LOOK_SECONDS)
    for number in _descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    os._exit(1)


def _descendants(number: int) -> list[int]:
    """Processes below a process, where the system tells (Linux)."""
    children: list[int] = []
    for listed in Path(f"/proc/{number}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, listed.read_text(encoding="ascii").split())
    return [*(lower for child in children for lower in _descendants(child)), *children]
