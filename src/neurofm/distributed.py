"""Ranks: the only module that knows there may be several processes. Alone, all of it is trivial."""

from __future__ import annotations

import gc
import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import (  # type: ignore[attr-defined]  # torch names them only at run time
    PrefixStore,
    TCPStore,
    rendezvous,
)

from neurofm.errors import RunError

JOIN_SECONDS, TIMEOUT_SECONDS = 25.0, 600.0
_entered = 0


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


def is_store_host() -> bool:
    """Whether the processes meet at this one; those of torchrun meet at torchrun itself."""
    return is_first() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def collectives_entered() -> int:
    """How many exchanges with the other processes this one has begun; alike on all of them."""
    return _entered


def barrier() -> None:
    """Wait until every process has come here."""
    if _is_running():
        _enter()
        dist.barrier()


def any_process(claim: bool, device: torch.device | str = "cpu") -> bool:
    """Whether the claim is true on any process; every process gets the same answer."""
    if not _is_running():
        return claim
    _enter()
    flag = torch.tensor(int(claim), device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag.item())


def gather_objects(value: Any) -> list[Any]:
    """The values of all processes, in the order of their ranks; each picklable and small."""
    if not _is_running():
        return [value]
    _enter()
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
def process_group(
    device: torch.device,
    join_seconds: float = JOIN_SECONDS,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Iterator[TCPStore | None]:
    """Join the processes that were started together, and leave them at the end; alone, do nothing.

    Processes know each other by `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, as
    `torchrun` sets them. NCCL where `device` is a GPU, else gloo. A process group that is there
    already is used.

    Args:
        device: of this process.
        join_seconds: how long to try to find the first process; all of it takes twice as long at
            most.
        timeout_seconds: how long an exchange between processes may take.

    Returns:
        what the processes meet at; None without others, or in a group that was there.

    Raises:
        RunError: the processes do not find each other.
    """
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ or _is_running():
        yield None
        return
    # Loaded later, its functions would keep the group as a default of their arguments for ever.
    importlib.import_module("torch.distributed.nn.functional")
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store, this_rank, world = _meet(join_seconds)
    try:
        dist.init_process_group(
            backend,
            store=PrefixStore("neurofm", store),
            rank=this_rank,
            world_size=world,
            timeout=timedelta(seconds=timeout_seconds),
        )
    except RuntimeError as error:
        raise _not_joined(error) from None
    try:
        yield store
    finally:
        dist.destroy_process_group()
        # DDP lies in cycles. While one lives, so do gloo's threads, and a thread that frees a
        # tensor after the interpreter has gone aborts the process.
        gc.collect()


def _meet(join_seconds: float) -> tuple[TCPStore, int, int]:
    """Find the others, in a thread: where another program has the port, torch waits for ever."""
    found: list[tuple[TCPStore, int, int]] = []
    errors: list[Exception] = []

    def look() -> None:
        try:
            found.append(next(rendezvous("env://", timeout=timedelta(seconds=join_seconds))))
        except (RuntimeError, ValueError) as error:
            errors.append(error)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    patience = 2 * join_seconds + 4  # torch's own limit is almost twice join_seconds
    looking.join(patience)
    if not found:
        error = errors[0] if errors else TimeoutError(f"no answer within {patience:g} s")
        raise _not_joined(error)
    return found[0]


def _not_joined(error: Exception) -> RunError:
    address, port = os.environ.get("MASTER_ADDR", "?"), os.environ.get("MASTER_PORT", "?")
    place = f"{address}:{port}"
    who = f"process {os.environ.get('RANK', '?')} of {os.environ.get('WORLD_SIZE', '?')}"
    first_line = str(error).partition("\n")[0]
    if "EADDRINUSE" in first_line:
        return RunError(f"another program uses port {port}", "choose another MASTER_PORT", place)
    return RunError(
        f"{who} did not find the others there ({first_line[:160]})",
        "MASTER_ADDR has to be the name of the machine of process 0, MASTER_PORT free there and "
        "the same everywhere, and all processes started within --join-seconds",
        place,
    )


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        _enter()
        pieces = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(pieces, tensor.contiguous())
        return torch.cat(pieces)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        _enter()
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def _enter() -> None:
    global _entered  # noqa: PLW0603 - counts for the whole process
    _entered += 1


def _is_running() -> bool:
    return dist.is_available() and dist.is_initialized()
