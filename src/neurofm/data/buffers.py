"""Reused memory for batches: fresh pages cost more time than decoding a scan."""

from __future__ import annotations

import weakref
from queue import Empty, SimpleQueue

import numpy as np
import torch
from torch import Tensor


class BufferPool:
    """Hands out tensors whose memory comes back by itself once nothing refers to it.

    A tensor made from a NumPy array keeps that array alive for as long as any view of the tensor
    lives, so the array's end is the earliest moment at which its memory can be used again.

    Args:
        shape: shape of every tensor; the first axis is the largest batch.
        dtype: NumPy type.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        self._shape, self._dtype = shape, dtype
        self._free: SimpleQueue[np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = SimpleQueue()

    def take(self, count: int) -> Tensor:
        """A tensor (count, ...) with undefined content; `count` is at most the first axis."""
        try:
            memory = self._free.get_nowait()
        except Empty:
            memory = np.empty(self._shape, self._dtype)
        lease = memory[:count]
        weakref.finalize(lease, self._free.put, memory).atexit = False
        return torch.from_numpy(lease)
