"""One scan as a piece of work: what is to be done, and what came of it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from neurofm.cohorts.failures import Failure, failure_of
from neurofm.errors import MissingDependencyError, NeurofmError, ScanError
from neurofm.preprocess.ants_images import ants_module
from neurofm.preprocess.deepbet import deepbet_network
from neurofm.preprocess.naming import OutputNames
from neurofm.preprocess.outputs import Plan, Summary, write_outputs
from neurofm.preprocess.pipeline import StepClock, prepare_scan


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

    def failed(self, step: str, kind: str, reason: str) -> Outcome:
        """The outcome of this scan where `step` could not be done."""
        words = " ".join(reason.split())
        failure = Failure(str(self.path), self.participant, step, kind, words)
        return Outcome(self.row, None, failure)


@dataclass(frozen=True)
class Outcome:
    """What became of one scan: a summary, a failure, or both where the result is not usable.

    Attributes:
        deaths: processes that died while at work on it.
    """

    row: int
    summary: Summary | None
    failure: Failure | None
    deaths: int = 0

    def after_deaths(self, count: int) -> Outcome:
        """The same outcome, reached after `count` processes had died at it."""
        return replace(self, deaths=count)


def load_libraries() -> None:
    """Load what preparing a whole head takes; what is missing is told by the step that needs it."""
    with contextlib.suppress(MissingDependencyError):
        ants_module()
    with contextlib.suppress(MissingDependencyError):
        deepbet_network()


def prepare_and_write(task: Task) -> Outcome:
    """Prepare one scan and write its results; a bad scan is an outcome, not an exception.

    Raises:
        NeurofmError: the other scans cannot be done either, as when the disk is full.
    """
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
        reason = "there is not enough memory for it; use fewer --workers"
        return task.failed(clock.current, "memory", reason)
    except Exception as error:  # noqa: BLE001 - whatever a library throws, the other scans go on
        words = error.strerror if isinstance(error, OSError) else None
        return task.failed(clock.current, "unexpected", f"{type(error).__name__}: {words or error}")
    return finished_outcome(task, summary)


def finished_outcome(task: Task, summary: Summary) -> Outcome:
    """The outcome of a scan with results; a failure too, where they must not be used."""
    if summary.verdict != "fail":
        return Outcome(task.row, summary, None)
    reason = f"{', '.join(summary.reasons)}; look at {task.names.picture}"
    return replace(task.failed("quality", "quality", reason), summary=summary)
