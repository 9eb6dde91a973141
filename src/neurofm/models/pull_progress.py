"""The course of a pull, told to a `Progress` where the hub's client would draw its own bars."""

from __future__ import annotations

import threading
from typing import Any

from neurofm.progress import Progress

_MEGABYTE = 1_000_000


class Course:
    """Counts received bytes; nothing is shown before the first, so nothing where all is cached."""

    def __init__(self, progress: Progress, total_bytes: int) -> None:
        self._progress = progress
        self._total = total_bytes
        self._shown: int | None = None
        self._lock = threading.Lock()

    def received(self, total_bytes: int) -> None:
        """So many bytes have come, of all files together."""
        with self._lock:
            if self._shown is None:
                self._progress.start("Pulling", max(1, round(self._total / _MEGABYTE)), "MB")
                self._shown = 0
            now = max(self._shown, total_bytes // _MEGABYTE)
            self._progress.advance(now - self._shown)
            self._shown = now


def bars_of(course: Course) -> type[Any]:
    """A class that the client takes for a bar: it draws nothing and tells of bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    class Bar(tqdm):
        """One of the client's bars: of all received bytes, all written ones, or the files."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self.of_bytes = options.get("unit") == "B"
            super().__init__(*args, **(options | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: int | float | None = 1) -> None:
            """Count on."""
            self.n += n or 0
            if self.of_bytes:
                course.received(int(self.n))

    return Bar
