"""What every command shares: where it prints, its progress bar, how failures are shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from neurofm.cohorts.failures import Failure

# What torch's C++ code logs, with its stack traces, would bury the line that says what is wrong.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")

# Of processes that train together only the first tells results.
out = Console(highlight=False, quiet=os.environ.get("RANK", "0") != "0")
err = Console(stderr=True, highlight=False)


def show_problems(notes: Sequence[str], failures: Sequence[Failure]) -> int:
    """Print notes and scans that could not be used, a line each; the exit status that follows."""
    for note in notes:
        err.print(f"Note: {note}", markup=False, soft_wrap=True)
    for failure in failures:
        err.print(str(failure), markup=False, soft_wrap=True)
    return 1 if failures else 0


def say_at_once(*lines: str) -> None:
    """Write lines to stderr from any thread, whatever else is being printed."""
    for line in lines:
        os.write(2, f"{line}\n".encode())


def end_at_once(line: str) -> None:
    """End this process with a line and status 2 while its main thread is stuck."""
    say_at_once(f"RunError: {line}")
    os._exit(2)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        unit = task.fields["unit"]
        if not task.speed:
            return Text(f"- {unit}/s")
        if task.speed >= 0.5:
            return Text(f"{task.speed:.1f} {unit}/s")
        return Text(f"{1 / task.speed:.1f} s/{unit}")


class BarProgress:
    """A progress bar with rate and time left, one piece of work at a time."""

    def __init__(self) -> None:
        self._bar: Progress | None = None

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        """Open a bar; an open one is closed first."""
        self.finish()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
        )
        task = self._bar.add_task(what, total=total, completed=done, unit=unit, note="")
        self._bar.tasks[task].start_time = self._bar.get_time()
        self._bar.start()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Move the open bar on."""
        if self._bar:
            self._bar.update(self._bar.task_ids[0], advance=count, note=note)

    def finish(self) -> None:
        """Close the bar and leave its last state on the screen."""
        if self._bar:
            self._bar.stop()
        self._bar = None
