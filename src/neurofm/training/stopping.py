"""A request to stop: a signal sets a flag, the loop saves after its step; a second Ctrl-C ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from neurofm.errors import RunError

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_TEMPORARY_FAILURE = 75  # EX_TEMPFAIL: a scheduler may start the same command again
_INTERRUPTED = 128 + signal.SIGINT
_SAME_REQUEST_SECONDS = 1.0  # torchrun hands a Ctrl-C on to processes that had it already


class RunStoppedError(RunError):
    """A run that ended on request, with a checkpoint of its last step; the same command goes on.

    Args:
        step: the last that was finished.
        exit_status: of the command: 75, or 130 after Ctrl-C, which no scheduler should repeat.
    """

    def __init__(self, step: int, exit_status: int = _TEMPORARY_FAILURE) -> None:
        self.exit_status = exit_status
        super().__init__(f"stopped on request after step {step}", "the same command continues")


class StopRequest:
    """Whether, and by which signal, the run was asked to stop."""

    def __init__(self) -> None:
        self._signal: int | None = None

    def is_set(self) -> bool:
        """Whether the run is to end after its step."""
        return self._signal is not None

    def set(self, signal_number: int = signal.SIGTERM) -> None:
        """Ask; the first request counts."""
        self._signal = self._signal or signal_number

    @property
    def exit_status(self) -> int:
        """130 after Ctrl-C, else 75."""
        return _INTERRUPTED if self._signal == signal.SIGINT else _TEMPORARY_FAILURE


@contextmanager
def stop_requests(tell: Callable[[str], None] = lambda _: None) -> Iterator[StopRequest]:
    """Yield a request that SIGTERM, SIGUSR1 and a first Ctrl-C (SIGINT) set.

    A second Ctrl-C, at least a second later, ends the process at once with status 130: every file
    is written whole or not at all, so nothing is harmed. A thread sees to it, because Python runs
    handlers only between two of its own instructions, and a backward pass can last minutes. The
    handlers that were there come back at the end. Outside the main thread, where Python allows no
    handlers, nothing is ever requested.

    Args:
        tell: given a line when a signal has come; called from another thread.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    earlier = {each: signal.signal(each, _do_nothing) for each in _SIGNALS}
    earlier_descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(reading, request, tell), daemon=True)
    listener.start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(earlier_descriptor)
        for each, handler in earlier.items():
            signal.signal(each, handler)
        os.close(writing)
        listener.join()
        os.close(reading)


def _listen(reading: int, request: StopRequest, tell: Callable[[str], None]) -> None:
    """Take signals, one byte each, as they come, whatever the main thread is doing."""
    first_interrupt: float | None = None
    while number := os.read(reading, 1):
        if number[0] not in _SIGNALS:
            continue
        now = time.monotonic()
        if number[0] == signal.SIGINT and first_interrupt is not None:
            if now - first_interrupt >= _SAME_REQUEST_SECONDS:
                tell("Interrupted; the same command goes on from the last checkpoint.")
                os._exit(_INTERRUPTED)
            continue
        if number[0] == signal.SIGINT:
            first_interrupt = now
        if not request.is_set():
            tell(f"{signal.Signals(number[0]).name}: saving after this step.")
        request.set(number[0])


def _do_nothing(number: int, frame: object) -> None:
    """Keep the signal's default, which would end the process, from happening."""
