"""Time the whole way from files to training batches beside the released implementation's.

Usage: python benchmarks/data_path.py [--rounds N] [--json]

The released path is rebuilt from MONAI's transforms: every scan is read from .nii.gz (image as
float64, mask), cropped, and each view is cut, resized, flipped, rotated, shifted and contrasted at
random, z-scored and searched for NaN, in a PyTorch DataLoader with two worker processes. For the
supervised views the scan is z-scored once and the mask goes no further. Ours reads a packed store
in two threads. Both are warmed up and take turns; rates are medians of the rounds.
With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from bench_store import write_derivatives
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from neurofm.augment.feed import ViewFeed
from neurofm.config.affine import AffineConfig
from neurofm.config.learning import ViewsConfig
from neurofm.config.preparation import StoreConfig
from neurofm.data.loader import ScanLoader
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import monai
    from monai.transforms import (
        Compose,
        RandAdjustContrastd,
        RandAffined,
        RandFlipd,
        RandGaussianNoised,
        RandRotated,
        RandShiftIntensityd,
        RandSpatialCropd,
        Resized,
    )

SHAPE = (150, 192, 192)
SCANS, BATCH = 12, 2
THREADS = 2  # of ours, and worker processes of the released path
KEYS = ("image", "mask")
GEOMETRY = (
    RandSpatialCropd(KEYS, (30, 40, 40), max_roi_size=SHAPE, random_center=True, random_size=True),
    Resized(KEYS, SHAPE, mode=("trilinear", "nearest")),
    RandFlipd(KEYS, prob=0.5, spatial_axis=2),
)
SIMCLR = (
    *GEOMETRY,
    RandRotated(KEYS, range_x=0.785, prob=0.5, mode=("bilinear", "nearest"), padding_mode="border"),
    RandShiftIntensityd("image", offsets=0.5, prob=0.8),
    RandAdjustContrastd("image", prob=0.8, gamma=(0.5, 1.5)),
)
SUPERVISED = (
    RandSpatialCropd("image", (90, 115, 115), SHAPE, random_center=True, random_size=True),
    Resized("image", SHAPE, mode="trilinear"),
    RandFlipd("image", prob=0.5, spatial_axis=2),
    RandAffined(
        "image",
        prob=0.7,
        rotate_range=(0.1, 0.1, 0.1),
        translate_range=(5, 5, 5),
        scale_range=(0.15, 0.15, 0.15),
    ),
    RandShiftIntensityd("image", offsets=0.1, prob=0.5),
    RandGaussianNoised("image", prob=0.2, std=0.1),
)
SUPERVISED_VIEWS = ViewsConfig(
    min_crop_mm=(90, 115, 115),
    rotation_probability=0,
    intensity_shift=0.1,
    intensity_shift_probability=0.5,
    gamma_probability=0,
    affine=AffineConfig(probability=0.7),
    noise_probability=0.2,
    zscore="before",
)
MAE_VIEWS = ViewsConfig(rotation_probability=0, intensity_shift_probability=0, gamma_probability=0)


class ReleasedScans(Dataset[list[Tensor]]):
    """Scans read anew for every item, `num_views` random views of each.

    Args:
        folder: holds image.nii.gz and mask.nii.gz.
        transforms: of one view.
        num_views: of one scan.
        zscore_first: z-score the scan, then leave its mask; else each view inside its moved mask.
    """

    def __init__(
        self, folder: Path, transforms: Sequence[object], num_views: int, zscore_first: bool
    ) -> None:
        self._folder, self._chain, self._num_views = folder, Compose(transforms), num_views
        self._zscore_first = zscore_first

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, number: int) -> list[Tensor]:
        scan = {key: self._read(f"{key}.nii.gz") for key in KEYS}
        if self._zscore_first:
            image = {"image": zscored(scan["image"], scan["mask"] > 0)}
            return [self._chain(image)["image"].as_tensor() for _ in range(self._num_views)]
        return [self._view(scan) for _ in range(self._num_views)]

    def _read(self, name: str) -> Tensor:
        values = np.asarray(nib.load(self._folder / name).get_fdata()).transpose(2, 1, 0)
        box = values[10:160, 19:211, 1:193].astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(box))[None]

    def _view(self, scan: dict[str, Tensor]) -> Tensor:
        while True:
            view = self._chain(scan)
            image, inside = view["image"].as_tensor(), view["mask"].as_tensor() > 0
            if not inside.any():
                continue
            image = zscored(image, inside)
            if not torch.isnan(image).any():
                return image


def zscored(image: Tensor, inside: Tensor) -> Tensor:
    """The image with mean 0 and standard deviation 1 inside a mask, and 0 outside."""
    values = image[inside]
    return torch.where(inside, (image - values.mean()) / values.std(correction=0), 0)


def released(
    folder: Path, transforms: Sequence[object], num_views: int, zscore_first: bool = False
) -> Iterator[object]:
    """Batches of the released path, without end."""
    scans = ReleasedScans(folder, transforms, num_views, zscore_first)
    return iter(DataLoader(scans, batch_size=BATCH, num_workers=THREADS))


def ours(store: Store, config: ViewsConfig, num_views: int) -> Iterator[object]:
    """Batches of this package, without end."""
    cpu = torch.device("cpu")
    feed = ViewFeed(store, config, 0, cpu, num_views=num_views, prefetch=2, threads=THREADS)
    return feed.batches(row_batches(), 0)


def row_batches() -> Iterator[tuple[int, ...]]:
    """Rows of the store in turn, without end."""
    rows = cycle(range(SCANS))
    return iter(lambda: tuple(islice(rows, BATCH)), ())


def rate(batches: Iterator[object], count: int) -> float:
    """Scans a second over `count` batches, after a few that warm everything up."""
    for _ in islice(batches, 4):
        pass
    started = time.perf_counter()
    for _ in islice(batches, count):
        pass
    return BATCH * count / (time.perf_counter() - started)


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Scans a second of every way: the median of the rounds, in which the ways take turns."""
    write_derivatives(folder / "derivatives", SCANS)
    pack(folder / "derivatives", folder / "store", StoreConfig(scans_per_shard=8))
    store = open_store(folder / "store")
    stored = ScanLoader(store, prefetch=2, threads=THREADS)
    ways: dict[str, tuple[Callable[[], Iterator[object]], int]] = {
        "released pairs": (lambda: released(folder / "derivatives", SIMCLR, 2), 8),
        "our pairs": (lambda: ours(store, ViewsConfig(), 2), 80),
        "released items": (lambda: released(folder / "derivatives", GEOMETRY, 1), 20),
        "our items": (lambda: ours(store, MAE_VIEWS, 1), 200),
        "released supervised": (
            lambda: released(folder / "derivatives", SUPERVISED, 1, zscore_first=True),
            12,
        ),
        "our supervised": (lambda: ours(store, SUPERVISED_VIEWS, 1), 120),
        "stored scans": (lambda: stored.stored_batches(row_batches()), 400),
    }
    for start, _ in ways.values():
        rate(start(), 2)  # the first time compiles, and reads the files into memory
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (start, count) in ways.items():
            rates[name].append(rate(start(), count))
    for name, found in rates.items():
        print(f"  {name:19s} {np.median(found):8.2f} a second, rounds {np.round(found, 2)}")
    return {name: float(np.median(found)) for name, found in rates.items()}


def main() -> None:
    """Print rates and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, {platform.machine()}")
    print(f"150x192x192 voxels, batches of {BATCH}, {THREADS} threads or worker processes")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), arguments.rounds)
    ratios = {
        "pairs_ratio": found["our pairs"] / found["released pairs"],
        "items_ratio": found["our items"] / found["released items"],
        "supervised_ratio": found["our supervised"] / found["released supervised"],
        "device_feed_ratio": found["stored scans"] / found["released pairs"],
    }
    for name, ratio in ratios.items():
        print(f"  {name:17s} {ratio:6.1f}")
    if arguments.json:
        print(json.dumps({name: round(ratio, 2) for name, ratio in ratios.items()}))


if __name__ == "__main__":
    main()
