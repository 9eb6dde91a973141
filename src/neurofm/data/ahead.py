"""Work ahead in threads: results come in the order of the work, however many threads there are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")
Note = TypeVar("Note")


@dataclass(frozen=True, eq=False)
class Order(Generic[Result, Note]):
    """A result that is complete once every job has run; jobs do not depend on each other.

    Attributes:
        jobs: each returns a note.
        finish: gives the result, from the notes in the order of the jobs.
    """

    jobs: Sequence[Callable[[], Note]]
    finish: Callable[[Sequence[Note]], Result]


def complete_ahead(
    orders: Iterable[Order[Result, Note]], prefetch: int, threads: int
) -> Iterator[Result]:
    """Complete each order in turn, the next ones while this one's result is being used.

    An exception of a job or of `finish` is raised where its result would have come. Jobs that have
    not begun when the consumer stops early never run.

    Args:
        orders: taken one by one, `prefetch` ahead.
        prefetch: orders under way besides the one being used.
        threads: jobs at the same time; 0 runs them in the calling thread when they are due.
    """
    if threads == 0:
        for order in orders:
            yield order.finish([job() for job in order.jobs])
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="ahead")
    pending: deque[tuple[Callable[[Sequence[Note]], Result], list[Future[Note]]]] = deque()
    try:
        for order in orders:
            pending.append((order.finish, [pool.submit(job) for job in order.jobs]))
            del order  # or its buffers would stay in use while the next order takes some
            if len(pending) > prefetch:
                yield _finished(*pending.popleft())
        while pending:
            yield _finished(*pending.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(
    finish: Callable[[Sequence[Note]], Result], futures: Sequence[Future[Note]]
) -> Result:
    return finish([future.result() for future in futures])
