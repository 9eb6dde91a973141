"""What processes, here or on a cluster, can work on: any job that can say how it failed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, Self, TypeVar


class Result(Protocol):
    """What came of a job; it can be pickled."""

    def after_deaths(self, count: int) -> Self:
        """The same result, reached after `count` processes had died at it."""


class Job(Protocol):
    """A piece of work; it can be pickled."""

    def failed(self, step: str, kind: str, reason: str) -> Any:
        """The result where `step` could not be done: a `Result` of the job's own type."""


JobT = TypeVar("JobT", bound=Job)
ResultT = TypeVar("ResultT", bound=Result)
AnyWork = Callable[[Any], Any]
RunJobs = Callable[[Sequence[JobT]], Generator[ResultT, None, None]]
