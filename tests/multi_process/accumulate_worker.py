"""Run by test_accumulate.py: one process's part of steps; alone, in one part, it is the whole."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.learning import TrainingConfig, ViewsConfig
from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe
from neurofm.config.tuning import TuningConfig
from neurofm.data.batch import Batch
from neurofm.distributed import barrier, process_group, rank, world_size
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder
from neurofm.models.head import HeadCard, build_head
from neurofm.objectives.supervised import Supervised
from neurofm.training.learner import Learner
from neurofm.training.objective import build_objective
from neurofm.training.optimisers import build_optimizer
from neurofm.training.tuning import apply_tuning

_ROWS, _STEPS, _CPU = 8, 3, torch.device("cpu")
_VIT = ViTConfig(width=24, depth=2, heads=3, patch_voxels=(5, 8, 8))
_TASK = HeadCard(target="sex", kind="binary", classes=("F", "M"))
_LORA = TuningConfig(trained="lora", lora_rank=2)


def _mae() -> nn.Module:
    config = MAEConfig(decoder_width=18, decoder_depth=1, decoder_heads=3)
    return build_objective(Recipe(name="x", encoder=_VIT, objective=config), 6.0)


def _supervised(encoder: ViTConfig | ResNetConfig, tuning: TuningConfig) -> nn.Module:
    objective = Supervised(
        build_encoder(encoder, 0, spacing_mm=6.0),
        build_head(encoder.features, 1, 0),
        _TASK,
        values={row: float(row % 3 == 0) for row in range(_ROWS)},
        class_weights=(0.5, 2.0),
        views=ViewsConfig(),
        seed=0,
        spacing_mm=6.0,
    )
    apply_tuning(objective, tuning, seed=0)
    return objective


_OBJECTIVES = {
    "mae": _mae,
    "vit": lambda: _supervised(_VIT, TuningConfig()),
    "vit lora": lambda: _supervised(_VIT, _LORA),
    "resnet lora": lambda: _supervised(ResNetConfig(widths=(4, 8, 8, 16), stem_stride=2), _LORA),
}


def _batch(step: int) -> Batch:
    """This process's rows of a batch that is the same however many share it."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(_ROWS, 1, 25, 32, 32, generator=generator, dtype=torch.float64)
    share = _ROWS // world_size()
    part = slice(rank() * share, (rank() + 1) * share)
    masks = torch.ones(images[part].shape, dtype=torch.bool)
    rows = tuple(range(_ROWS))[part]
    view = Batch(images[part], masks, rows, tuple("abcdefgh")[part], 0, step=step)
    return Batch(view.images, masks, rows, view.items, 0, views=(view,), step=step)


def _train(name: str, parts: int) -> dict[str, object]:
    objective = _OBJECTIVES[name]().double()
    module: nn.Module = objective
    if world_size() > 1:
        module = DistributedDataParallel(synchronise_batch_norm(objective, _CPU))
    learner = Learner(module, build_optimizer(module, TrainingConfig()), parts=parts)
    result: dict[str, object] = {}
    for step in range(_STEPS):
        outcome = learner.learn_from(_batch(step))
        if step == 0:
            result["loss"], result["figures"] = outcome.loss, dict(outcome.figures)
            named = objective.named_parameters()
            result["gradients"] = {n: p.grad.clone() for n, p in named if p.grad is not None}
    result["state"] = learner.model_state()
    return result


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with process_group(_CPU):
        results = {
            f"{name} {parts}": _train(name, parts)
            for name in _OBJECTIVES
            for parts in (1, 2)
            if world_size() > 1 or parts == 1
        }
        torch.save(results, folder / f"{world_size()}-{rank()}.pt")
        barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
