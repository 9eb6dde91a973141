"""Who is told what a process is doing, so that one that stands still can be named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

WAITING_FOR_SCANS = "waiting for scans"


@runtime_checkable
class Watch(Protocol):
    """Receives where a process is in its work."""

    def at(self, step: int, doing: str) -> None:
        """This process has come to `doing` in a step; the words are shown if it stays there."""


class SilentWatch:
    """Watches nothing."""

    def at(self, step: int, doing: str) -> None:
        """Do nothing."""


class ScanWatch:
    """Ends a process that waits for scans too long, as on a network disk that is gone.

    Args:
        timeout_seconds: more than any batch takes to read.
        give_up: ends the process with a line; called from a thread, as the other one waits.
    """

    def __init__(self, timeout_seconds: float, give_up: Callable[[str], None]) -> None:
        self._timeout_seconds, self._give_up = timeout_seconds, give_up
        self._place = (0, "starting", time.monotonic())
        self._ended = threading.Event()

    def at(self, step: int, doing: str) -> None:
        """The process has come to `doing`; only `WAITING_FOR_SCANS` may not last."""
        self._place = (step, doing, time.monotonic())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch inside the block."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _run(self) -> None:
        while not self._ended.wait(min(1.0, self._timeout_seconds / 4)):
            step, doing, since = self._place
            if doing == WAITING_FOR_SCANS and time.monotonic() - since > self._timeout_seconds:
                self._give_up(
                    f"no scan came for {self._timeout_seconds:g} s before step {step}; is the disk "
                    "of the store there? The same command continues"
                )
                return
