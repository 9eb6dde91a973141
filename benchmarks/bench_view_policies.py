"""What pairs of views share under each policy, and what a view costs.

python benchmarks/bench_view_policies.py [--pairs 20000] [--views 12] [--json]
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from neurofm.augment.cpu_views import draw_stored
from neurofm.augment.crops import brain_share, overlap, stretch_ratio
from neurofm.augment.draws import ViewDraw, ViewKey, draw_for
from neurofm.config.learning import ViewsConfig
from neurofm.config.recipe import load_recipe
from neurofm.data.loader import StoredScan
from neurofm.store.quantise import quantise

SHAPE = (150, 192, 192)
RECIPES = ("simclr-paper", "simclr-as-coded", "simclr-anatomy")


def main() -> None:
    """Print one line a policy; with --json all of it as one object on the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20_000)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = {name: pair_figures(load_recipe(name).views, options.pairs) for name in RECIPES}
    milliseconds = view_times(options.views)
    for name in RECIPES:
        figures[name]["ms_a_view"] = milliseconds[name]
        print(name, {key: round(value, 3) for key, value in figures[name].items()})
    if options.json:
        print(json.dumps(figures))


def pair_figures(config: ViewsConfig, pairs: int) -> dict[str, float]:
    """Overlap, stretch and brain of the crops; no voxel is touched."""
    began = time.perf_counter()
    drawn = [
        [draw_for(ViewKey(0, 0, f"c/{n}", view), config, SHAPE, 1.0) for view in (0, 1)]
        for n in range(pairs)
    ]
    seconds = time.perf_counter() - began
    start = np.array([[view.crop_start for view in pair] for pair in drawn])
    size = np.array([[view.crop_size for view in pair] for pair in drawn])
    shared = overlap(start[:, 0], size[:, 0], start[:, 1], size[:, 1])
    stretch, brain = stretch_ratio(size, SHAPE), brain_share(start, size, SHAPE)
    return {
        "pairs_without_common_voxel": float(np.mean(shared == 0)),
        "median_overlap": float(np.median(shared)),
        "least_overlap": float(shared.min()),
        "stretched_above_2": float(np.mean(stretch > 2)),
        "largest_stretch": float(stretch.max()),
        "brain_1st_percentile": float(np.percentile(brain, 1)),
        "brain_least": float(brain.min()),
        "whole_volumes": float(np.mean((size == SHAPE).all(axis=2))),
        "microseconds_a_draw": seconds / pairs / 2 * 1e6,
    }


def view_times(count: int) -> dict[str, float]:
    """Mean milliseconds of a compiled view on one thread, policies taking turns."""
    scan = phantom()
    image, mask = np.empty(SHAPE, np.float32), np.empty(SHAPE, np.bool_)
    times: dict[str, list[float]] = {name: [] for name in RECIPES}
    for number in range(-2, count):
        for name in RECIPES:
            draw = _draw(name, number)
            began = time.perf_counter()
            draw_stored(scan, draw, image, mask)
            if number >= 0:  # the first ones compile
                times[name].append(1000 * (time.perf_counter() - began))
    return {name: float(np.mean(taken)) for name, taken in times.items()}


def _draw(name: str, number: int) -> ViewDraw:
    key = ViewKey(1, 0, f"c/{number}", 0)
    return draw_for(key, load_recipe(name).views, SHAPE, 1.0)


def phantom() -> StoredScan:
    """A textured ellipsoid with its mask."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE], indexing="ij")
    inside = sum((a / r) ** 2 for a, r in zip(axes, (0.9, 0.91, 0.75), strict=True)) < 1
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    codes = quantise(np.where(inside, 8 + np.cos(7 * axes[0]) + 0.3 * noise, 0).astype(np.float32))
    return StoredScan(codes.stored, np.packbits(inside), codes.offset, codes.step)


if __name__ == "__main__":
    main()
