"""Reused memory for batches: fresh pages cost more time than decoding a scan."""

from __future__ import annotations

import weakref
from collections import defaultdict
from queue import Empty, SimpleQueue

import numpy as np
import torch
from torch import Tensor

Memory = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


class BufferPool:
    """Hands out tensors whose memory comes back by itself once nothing refers to it.

    A tensor made from a NumPy array keeps that array alive for as long as any view of the tensor
    lives, so the array's end is the earliest moment at which its memory can be used again.

    Args:
        shape: of every item of a tensor.
        dtype: of the tensors.
        pinned: page-locked, which makes copies to a GPU several times faster. A copy has to be
            finished before its source is let go, so it must not be `non_blocking`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype, pinned: bool = False) -> None:
        self._shape, self._dtype, self._pinned = shape, dtype, pinned
        self._free: defaultdict[int, SimpleQueue[Memory]] = defaultdict(SimpleQueue)

    def take(self, count: int) -> Tensor:
        """A tensor (count, ...) with undefined content."""
        free = self._free[count]
        try:
            memory = free.get_nowait()
        except Empty:
            shape = (count, *self._shape)
            memory = torch.empty(shape, dtype=self._dtype, pin_memory=self._pinned).numpy()
        lease = memory[:]
        weakref.finalize(lease, free.put, memory).atexit = False
        return torch.from_numpy(lease)
