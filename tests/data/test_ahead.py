"""Work ahead: order, errors and early ends, whatever the threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from neurofm.data.ahead import Order, complete_ahead


def orders(count: int, taken: list[int]) -> Iterator[Order[list[int], int]]:
    """Order n gives its jobs' notes n, n + 1, n + 2; later ones are quicker."""
    for number in range(count):
        taken.append(number)

        def note(place: int, number: int = number) -> int:
            time.sleep(0.001 * (count - number))
            return number + place

        yield Order([partial(note, place) for place in range(3)], list)


@pytest.mark.parametrize("threads", [0, 1, 2, 4])
@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_results_are_complete_and_in_order(threads, prefetch):
    results = list(complete_ahead(orders(6, []), prefetch, threads))
    assert results == [[n, n + 1, n + 2] for n in range(6)]


def test_no_more_orders_are_taken_than_asked_for():
    taken: list[int] = []
    results = complete_ahead(orders(9, taken), 2, 2)
    next(results)
    assert taken == [0, 1, 2]
    next(results)
    assert taken == [0, 1, 2, 3]


def order(number: int, jobs: Sequence[Callable[[], None]]) -> Order[int, None]:
    return Order(jobs, lambda _notes: number)


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_comes_where_its_result_would_have_come(threads):
    def fail() -> None:
        raise ValueError("scan 1")

    both = [order(0, [lambda: None]), order(1, [lambda: None, fail]), order(2, [])]
    results = complete_ahead(both, 2, threads)
    assert next(results) == 0
    with pytest.raises(ValueError, match="scan 1"):
        next(results)


def test_what_has_not_begun_when_the_consumer_stops_never_runs():
    ran, release, before = [], threading.Event(), set(threading.enumerate())

    def wait(number: int) -> None:
        ran.append(number)
        if number:
            release.wait(5)

    results = complete_ahead((order(n, [partial(wait, n)]) for n in range(9)), 5, 1)
    assert next(results) == 0
    release.set()
    results.close()
    assert len(ran) < 6
    assert not set(threading.enumerate()) - before
