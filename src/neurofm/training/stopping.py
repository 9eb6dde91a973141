"""A request to stop: the signal sets a flag, the loop ends after its step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from neurofm.errors import RunError

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class RunStoppedError(RunError):
    """A run that ended on request; the same command continues it from its last checkpoint."""


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGUSR1 set, as schedulers send before they kill.

    The handlers do nothing else, and those that were there come back at the end. Outside the main
    thread, where Python allows no handlers, the event is never set.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    earlier = {each: signal.signal(each, lambda *_: requested.set()) for each in _SIGNALS}
    try:
        yield requested
    finally:
        for each, handler in earlier.items():
            signal.signal(each, handler)
