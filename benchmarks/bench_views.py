"""Time one view, compiled and by torch, beside MONAI's own chain with the same draws.

One thread; milliseconds are its processor time, so that other work on the machine counts little.
The supervised views are compared without their noise.

Usage: python benchmarks/bench_views.py [views] [--chain simclr|supervised] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import replace

import monai
import numpy as np
import torch
from torch import Tensor

from neurofm.augment.affine import draw_affine
from neurofm.augment.cpu_views import draw_stored
from neurofm.augment.draws import ViewDraw, draw_view
from neurofm.augment.views import finished_views
from neurofm.config.affine import AffineConfig
from neurofm.config.learning import ViewsConfig
from neurofm.data.loader import StoredScan
from neurofm.data.prepare import zscore_in_mask, zscore_in_mask_
from neurofm.seeds import random_stream
from neurofm.store.quantise import quantise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from monai.transforms import (
        AdjustContrast,
        Flip,
        RandAffine,
        Resize,
        Rotate,
        ShiftIntensity,
        SpatialCrop,
    )

View = tuple[Tensor, Tensor]
CHAINS = {
    "simclr": ViewsConfig(),
    "supervised": ViewsConfig(
        min_crop_mm=(90, 115, 115),
        rotation_probability=0,
        intensity_shift=0.1,
        intensity_shift_probability=0.5,
        gamma_probability=0,
        affine=AffineConfig(probability=0.7),
        zscore="before",
    ),
}


def phantom(shape: tuple[int, int, int]) -> View:
    """A textured ellipsoid on a dark ground, and its mask."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum((a / r) ** 2 for a, r in zip(axes, (0.75, 0.8, 0.7), strict=True)) < 1
    noise = np.random.default_rng(0).normal(size=shape)
    image = np.where(inside, 3 * np.cos(7 * axes[0]) + noise, -12.0).astype(np.float32)
    return torch.from_numpy(image)[None, None], torch.from_numpy(inside)[None, None]


def stored(image: Tensor, mask: Tensor) -> tuple[StoredScan, View]:
    """A scan as a store holds it, and the same scan decoded."""
    codes = quantise(image[0, 0].numpy())
    bits = np.packbits(mask[0, 0].numpy())
    codes.stored.flags.writeable = bits.flags.writeable = False
    scan = StoredScan(codes.stored, bits, codes.offset, codes.step)
    decoded = codes.stored.astype(np.float32) * np.float32(codes.step) + np.float32(codes.offset)
    return scan, (torch.from_numpy(decoded)[None, None], mask)


def compiled(scan: StoredScan, into: View, draw: ViewDraw) -> View:
    """One view from a stored scan by compiled code, into memory used again and again."""
    draw_stored(scan, draw, into[0][0, 0].numpy(), into[1][0, 0].numpy())
    return into


def by_torch(image: Tensor, mask: Tensor, draw: ViewDraw) -> View:
    """The same view by torch."""
    return finished_views(image, mask, [draw])[:2]


def monai_geometry(volume: Tensor, draw: ViewDraw, resize: str, rotate: str) -> Tensor:
    """Crop, resize, flip, rotate and move one volume with MONAI."""
    full = volume.shape[1:]
    end = [start + size for start, size in zip(draw.crop_start, draw.crop_size, strict=True)]
    volume = SpatialCrop(roi_start=draw.crop_start, roi_end=end)(volume)
    volume = Resize(full, mode=resize)(volume)
    if draw.flip:
        volume = Flip(spatial_axis=2)(volume)
    if draw.rotation_radians is not None:
        angles = (draw.rotation_radians, 0.0, 0.0)
        volume = Rotate(angles, keep_size=True, mode=rotate, padding_mode="border")(volume)
    if draw.affine is not None:
        volume = RandAffine(
            prob=1.0,
            rotate_range=[(radians, radians) for radians in draw.affine.rotation_radians],
            translate_range=[(voxels, voxels) for voxels in draw.affine.translation_voxels],
            scale_range=[(scale - 1, scale - 1) for scale in draw.affine.scale],
            mode=rotate,
            padding_mode=draw.affine.padding,
        )(volume)
    return volume


def monais(image: Tensor, mask: Tensor, draw: ViewDraw) -> View:
    """The same view by MONAI's transforms, z-scored as ours."""
    if draw.zscore_first:
        image = zscore_in_mask(image, mask)
    view = monai_geometry(image[0], draw, "trilinear", "bilinear")
    moved = monai_geometry(mask[0].float(), draw, "nearest", "nearest")
    if draw.shift:
        view = ShiftIntensity(draw.shift)(view)
    if draw.gamma is not None:
        view = AdjustContrast(draw.gamma)(view)
    view, moved = torch.as_tensor(view)[None], torch.as_tensor(moved)[None] > 0.5
    return view if draw.zscore_first else zscore_in_mask_(view, moved), moved


def timed(chain: Callable[..., View], *arguments: object) -> tuple[View, float]:
    """A view and the milliseconds it took."""
    started = time.thread_time()
    view = chain(*arguments)
    return view, 1000 * (time.thread_time() - started)


def rms(mine: View, other: View) -> float:
    """Root mean square difference inside both masks, in standard deviations."""
    common = mine[1] & other[1]
    return (
        float((mine[0] - other[0])[common].double().square().mean().sqrt()) if common.any() else 0
    )


def drawn(
    number: int, config: ViewsConfig, shape: tuple[int, int, int], spacing_mm: float
) -> ViewDraw:
    """One draw of a chain, without noise."""
    draw = draw_view(random_stream("bench", number), config, shape, spacing_mm)
    affine = draw_affine(random_stream("bench affine", number), config.affine, spacing_mm)
    return replace(draw, affine=affine, zscore_first=config.zscore == "before")


def compare(
    config: ViewsConfig, shape: tuple[int, int, int], spacing_mm: float, views: int
) -> dict[str, dict[str, float]]:
    """Times of the three chains for one grid, and differences from MONAI's."""
    scan, decoded = stored(*phantom(shape))
    into = (torch.empty_like(decoded[0]), torch.empty_like(decoded[1]))
    times: dict[str, list[float]] = {"compiled": [], "torch": [], "MONAI": []}
    errors: dict[str, list[float]] = {"compiled": [], "torch": []}
    moved = {"compiled": 0, "torch": 0}
    for number in range(views + 2):
        draw = drawn(number, config, shape, spacing_mm)
        made = {
            "compiled": timed(compiled, scan, into, draw),
            "torch": timed(by_torch, *decoded, draw),
            "MONAI": timed(monais, *decoded, draw),
        }
        if number < 2:  # the first two warm up
            continue
        for name, (view, spent) in made.items():
            times[name].append(spent)
            if name != "MONAI":
                errors[name].append(rms(view, made["MONAI"][0]))
                moved[name] += int((view[1] != made["MONAI"][0][1]).sum())
    figures = {
        name: {
            "mean_ms": float(np.mean(spent)),
            "median_ms": float(np.median(spent)),
            "ratio": float(np.mean(times["MONAI"]) / np.mean(spent)),
        }
        for name, spent in times.items()
    }
    for name, found in errors.items():
        figures[name] |= {
            "median_rms": float(np.median(found)),
            "worst_rms": max(found),
            "mask_share": moved[name] / (views * float(np.prod(shape))),
        }
    return figures


def show(figures: dict[str, dict[str, float]]) -> None:
    """Print a line of times for every chain, and one of differences for both of ours."""
    for name, each in figures.items():
        times = f"mean {each['mean_ms']:7.1f}  median {each['median_ms']:7.1f}"
        print(f"  {name:8s} {times}  {each['ratio']:5.1f}x")
    for name in ("compiled", "torch"):
        each = figures[name]
        print(
            f"  {name:8s} rms difference from MONAI: median {each['median_rms']:.1e}, worst "
            f"{each['worst_rms']:.1e} sd; mask voxels that differ {each['mask_share']:.1e}"
        )


def main() -> None:
    """Compare at the paper's grid and at 3 mm."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("views", type=int, nargs="?", default=200)
    parser.add_argument("--chain", choices=tuple(CHAINS), default="simclr")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, {platform.machine()}, one thread")
    record = {}
    for shape, spacing_mm in (((150, 192, 192), 1.0), ((50, 64, 64), 3.0)):
        grid = "x".join(map(str, shape))
        print(f"{grid} voxels, {arguments.views} views, ms a view")
        record[grid] = compare(CHAINS[arguments.chain], shape, spacing_mm, arguments.views)
        show(record[grid])
    if arguments.json:
        print(json.dumps({"views": arguments.views} | record))


if __name__ == "__main__":
    main()
