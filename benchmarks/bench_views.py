"""Time one SimCLR view, compiled and by torch, beside MONAI's own chain with the same draws.

One thread; milliseconds are its processor time, so that other work on the machine counts little.

Usage: python benchmarks/bench_views.py [views]
"""

from __future__ import annotations

import platform
import sys
import time
import warnings
from collections.abc import Callable

import monai
import numpy as np
import torch
from torch import Tensor

from neurofm.augment.cpu_views import draw_stored
from neurofm.augment.draws import ViewDraw, draw_view
from neurofm.augment.views import apply_views
from neurofm.config.learning import ViewsConfig
from neurofm.data.loader import StoredScan
from neurofm.data.prepare import zscore_in_mask_
from neurofm.seeds import random_stream
from neurofm.store.quantise import quantise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from monai.transforms import (
        AdjustContrast,
        Flip,
        Resize,
        Rotate,
        ShiftIntensity,
        SpatialCrop,
    )

View = tuple[Tensor, Tensor]


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
    view, moved = apply_views(image, mask, [draw])
    return zscore_in_mask_(view, moved), moved


def monai_geometry(volume: Tensor, draw: ViewDraw, resize: str, rotate: str) -> Tensor:
    """Crop, resize, flip and rotate one volume with MONAI."""
    full = volume.shape[1:]
    end = [start + size for start, size in zip(draw.crop_start, draw.crop_size, strict=True)]
    volume = SpatialCrop(roi_start=draw.crop_start, roi_end=end)(volume)
    volume = Resize(full, mode=resize)(volume)
    if draw.flip:
        volume = Flip(spatial_axis=2)(volume)
    if draw.rotation_radians is not None:
        angles = (draw.rotation_radians, 0.0, 0.0)
        volume = Rotate(angles, keep_size=True, mode=rotate, padding_mode="border")(volume)
    return volume


def monais(image: Tensor, mask: Tensor, draw: ViewDraw) -> View:
    """The same view by MONAI's transforms, z-scored as ours."""
    view = monai_geometry(image[0], draw, "trilinear", "bilinear")
    moved = monai_geometry(mask[0].float(), draw, "nearest", "nearest")
    if draw.shift:
        view = ShiftIntensity(draw.shift)(view)
    if draw.gamma is not None:
        view = AdjustContrast(draw.gamma)(view)
    moved = torch.as_tensor(moved)[None] > 0.5
    return zscore_in_mask_(torch.as_tensor(view)[None], moved), moved


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


def compare(shape: tuple[int, int, int], spacing_mm: float, views: int) -> None:
    """Print times and differences of the three chains for one grid."""
    scan, decoded = stored(*phantom(shape))
    into = (torch.empty_like(decoded[0]), torch.empty_like(decoded[1]))
    times: dict[str, list[float]] = {"compiled": [], "torch": [], "MONAI": []}
    errors: dict[str, list[float]] = {"compiled": [], "torch": []}
    moved = {"compiled": 0, "torch": 0}
    for number in range(views + 2):
        draw = draw_view(random_stream("bench", number), ViewsConfig(), shape, spacing_mm)
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
    print(f"{shape[0]}x{shape[1]}x{shape[2]} voxels, {views} views, ms a view")
    theirs = np.mean(times["MONAI"])
    for name, spent in times.items():
        ratio = theirs / np.mean(spent)
        print(
            f"  {name:8s} mean {np.mean(spent):7.1f}  median {np.median(spent):7.1f}  {ratio:5.1f}x"
        )
    for name, found in errors.items():
        share = moved[name] / (views * np.prod(shape))
        print(
            f"  {name:8s} rms difference from MONAI: median {np.median(found):.1e}, "
            f"worst {max(found):.1e} sd; mask voxels that differ {share:.1e}"
        )


def main() -> None:
    """Compare at the paper's grid and at 3 mm."""
    torch.set_num_threads(1)
    views = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, {platform.machine()}, one thread")
    compare((150, 192, 192), 1.0, views)
    compare((50, 64, 64), 3.0, views)


if __name__ == "__main__":
    main()
