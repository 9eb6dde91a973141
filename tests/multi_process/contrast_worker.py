"""Run by test_gather.py: one process's part of one contrastive step; alone, it is the whole."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.distributed import (
    any_process,
    barrier,
    gather_with_gradient,
    process_group,
    rank,
    world_size,
)
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.objectives.nt_xent import nt_xent

_ROWS = 6


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        name, result = f"{world_size()}-{rank()}", _work()
        barrier()
    result["threads left"] = _gloo_threads()
    torch.save(result, folder / f"{name}.pt")


def _work() -> dict[str, object]:
    torch.manual_seed(1)
    network: nn.Module = nn.Sequential(
        nn.Conv3d(1, 8, 3, bias=False), nn.BatchNorm3d(8), nn.Tanh(), nn.Flatten(), nn.Linear(64, 4)
    )
    first, second = torch.randn(2, _ROWS, 1, 4, 4, 4)
    share = _ROWS // world_size()
    part = slice(rank() * share, (rank() + 1) * share)
    if world_size() > 1:
        network = DistributedDataParallel(synchronise_batch_norm(network, torch.device("cpu")))
    z1, z2 = network(torch.cat([first[part], second[part]])).chunk(2)
    loss = nt_xent(z1, z2, 0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    return {
        "loss": loss.detach(),
        "gradients": [parameter.grad for parameter in network.parameters()],
        "buffers": [buffer.clone() for buffer in network.buffers()],
        "rows": gather_with_gradient(first[part]),
        "all rows": first,
        "world": world_size(),
        "only rank 1": any_process(rank() == 1),
        "nobody": any_process(False),
        "threads": _gloo_threads(),
    }


def _gloo_threads() -> int:
    """How many threads exchange with other processes; 0 where the system does not tell (macOS)."""
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    return sum("gloo" in name for name in names)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
