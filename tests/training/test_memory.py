"""A full memory is one line with advice, and no other error is taken for it."""

from __future__ import annotations

import pytest
import torch

from neurofm.errors import RunError
from neurofm.training.memory import explained_memory


def test_a_full_memory_of_a_cpu_is_one_line_with_advice() -> None:
    """Case P9."""
    message = "the memory is full with 6 participants in this process"
    with pytest.raises(RunError, match=message), explained_memory(6):
        torch.empty(1 << 45)


def test_a_full_memory_of_a_gpu_is_one_line_with_advice() -> None:
    """Case P9, with torch's own error; on a GPU where there is one."""
    message = "the GPU's memory is full with 6 participants .*smaller training.batch_size"
    with pytest.raises(RunError, match=message), explained_memory(6):
        if torch.cuda.is_available():
            torch.empty(1 << 45, device="cuda")
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB.")


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(RuntimeError, match="a bug"), explained_memory(6):
        raise RuntimeError("a bug")
