"""A full memory, on a GPU or not, becomes one line with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from neurofm.errors import RunError


@contextmanager
def explained_memory(participants: int) -> Iterator[None]:
    """Turn a failed allocation inside the block into a `RunError`.

    Args:
        participants: of a batch that this process holds, for the message.

    Raises:
        RunError: the memory is full; nothing saved before is lost.
    """
    with full_memory_told(lambda what: _full(what, participants)):
        yield


@contextmanager
def full_memory_told(explain: Callable[[str], RunError]) -> Iterator[None]:
    """Turn a failed allocation inside the block into an error made of whose memory is full."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise explain("the GPU's memory is full") from None
    except MemoryError:
        raise explain("the memory is full") from None
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # torch's words for a full CPU memory
            raise
        raise explain("the memory is full") from None


def _full(what: str, participants: int) -> RunError:
    return RunError(
        f"{what} with {participants} participants in this process",
        "neurofm plan says what fits; share the batch between more GPUs, use a larger "
        "store.spacing_mm, or start another run "
        "with a smaller training.batch_size (for a contrastive loss another experiment); steps "
        "before the last checkpoint are not lost",
        "training",
    )
