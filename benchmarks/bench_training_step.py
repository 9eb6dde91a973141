"""Time one pre-training step of 16 participants: views, two forwards, backward, Adam; 2 threads.

Usage: python benchmarks/bench_training_step.py [steps] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import UTC, datetime

import torch

from neurofm.augment.views import make_views
from neurofm.config.encoders import ResNetConfig
from neurofm.config.recipe import Recipe
from neurofm.data.batch import Batch
from neurofm.training.learner import Learner
from neurofm.training.objective import build_objective

_PARTICIPANTS = 16


def _batch(shape: tuple[int, int, int]) -> Batch:
    axes = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum((axis / 0.7).square() for axis in axes) < 1
    masks = inside.expand(_PARTICIPANTS, 1, *shape).clone()
    images = torch.where(masks, torch.randn(masks.shape), -12.0)
    rows = tuple(range(_PARTICIPANTS))
    return Batch(images, masks, rows, tuple(f"bench/{row}" for row in rows), 0)


def _seconds(widths: tuple[int, int, int, int], stride: int, batch: Batch, steps: int) -> float:
    spacing_mm = 150 / batch.images.shape[2]
    encoder = ResNetConfig(widths=widths, stem_stride=stride)
    objective = build_objective(Recipe(name="bench", encoder=encoder), spacing_mm)
    objective.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    learner = Learner(objective, torch.optim.Adam(objective.parameters(), lr=3e-4))
    times = []
    for _ in range(steps + 1):  # the first one is a warm-up
        began = time.perf_counter()
        learner.learn_from(batch)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _view_seconds(batch: Batch) -> float:
    began = time.perf_counter()
    for view in (0, 1):
        make_views(batch, Recipe(name="bench").views, 0, view, 150 / batch.images.shape[2])
    return time.perf_counter() - began


def main() -> None:
    """Print seconds a step for two grids, two widths and two strides."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("steps", type=int, nargs="?", default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    found = {}
    torch.set_num_threads(2)
    print(f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()} torch {torch.__version__}")
    for shape in ((25, 32, 32), (50, 64, 64)):
        batch = _batch(shape)
        print(f"{'x'.join(map(str, shape))}: {_view_seconds(batch):.2f} s of it for the views")
        for widths in ((16, 32, 64, 128), (32, 64, 128, 256)):
            for stride in (2, 1):
                seconds = _seconds(widths, stride, batch, arguments.steps)
                print(f"  widths {widths}, stem stride {stride}: {seconds:.2f} s a step")
                words = "-".join(map(str, widths))
                found[f"{'x'.join(map(str, shape))} {words} stride {stride}"] = seconds
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
