"""Run by test_exact_batches.py: one process's part of some steps; alone, it is the whole."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.learning import ViewsConfig
from neurofm.config.objectives import MAEConfig, SimCLRConfig
from neurofm.data.batch import Batch
from neurofm.distributed import barrier, process_group, rank, world_size
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder, build_with_seed
from neurofm.models.footprint import Saving
from neurofm.models.head import HeadCard, build_head
from neurofm.models.mae_decoder import MAEDecoder
from neurofm.models.projector import build_projector
from neurofm.models.vit import ViT
from neurofm.objectives.mae import MAE
from neurofm.objectives.simclr import SimCLR
from neurofm.objectives.supervised import Supervised

_ROWS, _CPU = 8, torch.device("cpu")
_GRID = (18, 20, 24)
# One participant has two scans here, on different processes where there are several.
_ITEMS = ("a", "b", "c", "d", "e", "f", "g", "a")


def _simclr(saving: Saving) -> nn.Module:
    encoder = build_encoder(ResNetConfig(widths=(4, 8, 8, 16)), 1, saving)
    return SimCLR(
        encoder,
        build_projector(16, 8, 1),
        SimCLRConfig(),
        views=ViewsConfig(),
        seed=0,
        spacing_mm=6.0,
    )


def _mae(only_brain: bool) -> nn.Module:
    config = MAEConfig(decoder_width=18, decoder_depth=1, decoder_heads=3, only_brain=only_brain)
    vit = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(6, 10, 8))
    encoder = build_with_seed(lambda: ViT(vit, _GRID), 1)
    decoder = build_with_seed(lambda: MAEDecoder(config, vit, encoder.trained_grid), 2)
    return MAE(encoder, decoder, config, views=ViewsConfig(), seed=0, spacing_mm=6.0)


def _supervised() -> nn.Module:
    task = HeadCard(target="group", kind="multiclass", classes=("H", "MCI", "AD"))
    return Supervised(
        build_encoder(ResNetConfig(widths=(4, 8, 8, 16)), 1),
        build_head(16, task.outputs, 1),
        task,
        values={row: row % 3 for row in range(_ROWS)},
        class_weights=(0.5, 1.5, 2.0),
        views=ViewsConfig(),
        seed=0,
        spacing_mm=6.0,
    )


_WAYS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: _simclr(Saving()),
    "saving": lambda: _simclr(Saving(stem=True, blocks=True)),
    "mae": lambda: _mae(only_brain=False),
    "mae of brain": lambda: _mae(only_brain=True),
    "supervised": _supervised,
}


def _batch(step: int, dtype: torch.dtype) -> Batch:
    """This process's rows of a batch that is the same however many share it."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(2, _ROWS, 1, *_GRID, generator=generator, dtype=torch.float64)
    share = _ROWS // world_size()
    part = slice(rank() * share, (rank() + 1) * share)
    masks = torch.zeros(_ROWS, 1, *_GRID, dtype=torch.bool)
    for row in range(_ROWS):  # other numbers of patches with brain in each
        masks[row, :, :, :, 3 * row :] = True
    rows = tuple(range(_ROWS))[part]
    views = [
        Batch(view[part].to(dtype), masks[part], rows, _ITEMS[part], step, step=step)
        for view in images
    ]
    return replace(views[0], views=tuple(views))


def _steps(name: str) -> int:
    """Twenty for contrast; what differs elsewhere does so sooner."""
    return 20 if name in ("plain", "saving") else 5


def _train(dtype: torch.dtype, steps: int, build: Callable[[], nn.Module]) -> dict[str, object]:
    objective = build().to(dtype)
    module: nn.Module = objective
    if world_size() > 1:
        module = DistributedDataParallel(synchronise_batch_norm(objective, _CPU))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    result: dict[str, object] = {}
    for step in range(steps):
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
            f"{name} {dtype}": _train(dtype, _steps(name), build)
            for (name, build), dtype in itertools.product(
                _WAYS.items(), (torch.float32, torch.float64)
            )
        }
        torch.save(results, folder / f"{world_size()}-{rank()}.pt")
        barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
