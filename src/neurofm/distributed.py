"""Ranks: the only module that knows there may be several processes. Alone, all of it is trivial."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_TIMEOUT = timedelta(minutes=10)


def world_size() -> int:
    """Number of processes that train together; 1 without torch.distributed."""
    return dist.get_world_size() if _is_running() else 1


def rank() -> int:
    """This process among `world_size()`, from 0."""
    return dist.get_rank() if _is_running() else 0


def local_rank() -> int:
    """This process among those on this machine, which is also its GPU; 0 without torchrun."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this process writes the files."""
    return rank() == 0


def barrier() -> None:
    """Wait until every process has come here."""
    if _is_running():
        dist.barrier()


def any_process(claim: bool, device: torch.device | str = "cpu") -> bool:
    """Whether the claim is true on any process; every process gets the same answer."""
    if not _is_running():
        return claim
    flag = torch.tensor(int(claim), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())


def gather_objects(value: Any) -> list[Any]:
    """The values of all processes, in the order of their ranks; each picklable and small."""
    if not _is_running():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather_with_gradient(tensor: Tensor) -> Tensor:
    """The rows of all processes, in the order of their ranks, as one differentiable tensor.

    Backward sums the gradient for a row over all processes and hands it to the process the row
    came from. So where every process computes the same loss of all rows, each receives
    `world_size()` times the loss's gradient, and DDP's average over processes is exactly the
    gradient of that one loss.

    Args:
        tensor: rows of this process, (rows, ...); equally many on every process.

    Returns:
        (world * rows, ...); the tensor itself without torch.distributed.
    """
    if not _is_running():
        return tensor
    gathered: Tensor = _GatherRows.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes `torchrun` started, and leave them at the end; alone, do nothing.

    NCCL where `device` is a GPU, else gloo. A process group that is there already is used.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ or _is_running():
        yield
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield
    finally:
        dist.destroy_process_group()


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        pieces = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(pieces, tensor.contiguous())
        return torch.cat(pieces)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def _is_running() -> bool:
    return dist.is_available() and dist.is_initialized()
