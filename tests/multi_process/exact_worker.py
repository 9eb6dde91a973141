"""Run by test_exact_batches.py: one process's part of contrastive steps; alone, it is the whole."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.config.encoders import ResNetConfig
from neurofm.config.learning import ViewsConfig
from neurofm.config.objectives import SimCLRConfig
from neurofm.data.batch import Batch
from neurofm.distributed import barrier, process_group, rank, world_size
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder
from neurofm.models.footprint import Saving
from neurofm.models.projector import build_projector
from neurofm.objectives.simclr import SimCLR

_ROWS, _STEPS, _CPU = 8, 20, torch.device("cpu")
# One participant has two scans here, on different processes where there are several.
_ITEMS = ("a", "b", "c", "d", "e", "f", "g", "a")
_WAYS = {"plain": Saving(), "saving": Saving(stem=True, blocks=True)}


def _objective(dtype: torch.dtype, saving: Saving) -> SimCLR:
    encoder = build_encoder(ResNetConfig(widths=(4, 8, 8, 16)), 1, saving)
    objective = SimCLR(
        encoder,
        build_projector(16, 8, 1),
        SimCLRConfig(),
        views=ViewsConfig(),
        seed=0,
        spacing_mm=6.0,
    )
    return objective.to(dtype)


def _batch(step: int, dtype: torch.dtype) -> Batch:
    """This process's rows of a batch that is the same however many share it."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(2, _ROWS, 1, 17, 20, 24, generator=generator, dtype=torch.float64)
    share = _ROWS // world_size()
    part = slice(rank() * share, (rank() + 1) * share)
    masks = torch.ones(share, 1, 17, 20, 24, dtype=torch.bool)
    views = [
        Batch(view[part].to(dtype), masks, tuple(range(share)), _ITEMS[part], step)
        for view in images
    ]
    first = views[0]
    return Batch(first.images, masks, first.rows, first.items, step, views=tuple(views))


def _train(dtype: torch.dtype, saving: Saving) -> dict[str, object]:
    objective = _objective(dtype, saving)
    module: nn.Module = objective
    if world_size() > 1:
        module = DistributedDataParallel(synchronise_batch_norm(objective, _CPU))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    result: dict[str, object] = {}
    for step in range(_STEPS):
        optimizer.zero_grad()
        loss = module(_batch(step, dtype)).total
        loss.backward()
        if step == 0:
            result["loss"] = loss.detach()
            result["gradients"] = _gradients(objective)
            result["buffers"] = {name: each.clone() for name, each in objective.named_buffers()}
        optimizer.step()
    result["parameters"] = {name: each.detach() for name, each in objective.named_parameters()}
    result["last buffers"] = {name: each.clone() for name, each in objective.named_buffers()}
    return result


def _gradients(objective: nn.Module) -> dict[str, Tensor]:
    named = objective.named_parameters()
    return {name: each.grad.clone() for name, each in named if each.grad is not None}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with process_group(_CPU):
        results = {
            f"{name} {dtype}": _train(dtype, saving)
            for (name, saving), dtype in itertools.product(
                _WAYS.items(), (torch.float32, torch.float64)
            )
        }
        torch.save(results, folder / f"{world_size()}-{rank()}.pt")
        barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
