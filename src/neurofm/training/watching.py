"""The processes of a run end together: in order, or each with the cause of the first to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]

from neurofm.distributed import barrier
from neurofm.errors import NeurofmError, RunError
from neurofm.training.rank_watch import RankWatch
from neurofm.training.stopping import RunStoppedError
from neurofm.training.watchdog import ScanWatch, Watch


@contextmanager
def watched(
    store: TCPStore | None, timeout_seconds: float, give_up: Callable[[str], None]
) -> Iterator[Watch]:
    """Watch this process and those it trains with.

    Args:
        store: of the process group; None without one.
        timeout_seconds: how long scans may take to come, or a process may keep others waiting.
        give_up: ends this process with a line, called from a thread because the main one is stuck.

    Raises:
        RunError: another process failed, was killed or stood still; names it and the cause.
    """
    if store is None:
        alone = ScanWatch(timeout_seconds, give_up)
        with alone.running():
            yield alone
        return
    watch = RankWatch(store, timeout_seconds, give_up)
    try:
        yield watch
        _leave_together(watch)
    except RunStoppedError:
        _leave_together(watch)
        raise
    except RuntimeError as error:
        if _is_lost_connection(error):
            raise RunError(watch.why_lost()) from None
        watch.fail(_in_words(error))
        raise
    except BaseException as error:
        watch.fail(_in_words(error))
        raise


def _leave_together(watch: RankWatch) -> None:
    """Stop watching before anyone leaves, so that nobody is missed who is done."""
    watch.close()
    barrier()


def _is_lost_connection(error: RuntimeError) -> bool:
    """Whether it is an exchange that failed; torch tells it of gloo by the words alone."""
    return isinstance(error, DistError) or "gloo" in str(error)


def _in_words(error: BaseException) -> str:
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, NeurofmError) else f"{name}: {error!s:.200}"
