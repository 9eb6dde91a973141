"""Loops compiled by numba, kept on disk where that can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(fastmath: bool) -> Callable[[Any], Any]:
    """Compile at the first call; keep the result on disk where any folder for it can be written."""

    def compile_it(function: Any) -> Any:
        try:
            return njit(nogil=True, error_model="numpy", fastmath=fastmath, cache=True)(function)
        except RuntimeError:  # no such folder: compiled anew in each process
            return njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)

    return compile_it
