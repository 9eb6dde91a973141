"""Time packing, opening and reading of full-size scans; one thread, warm page cache.

Usage: python benchmarks/bench_store.py [scans] [--json]
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from neurofm.cohorts.index import write_index
from neurofm.config.preparation import StoreConfig
from neurofm.data.loader import ScanLoader
from neurofm.preprocess.contract import Contract, write_contract
from neurofm.store.packing import pack
from neurofm.store.reader import open_store
from neurofm.store.verify import verify_store
from neurofm.volumes.grids import template_grid
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume


def write_derivatives(folder: Path, scans: int, spacing_mm: float = 1.0) -> None:
    """Noisy ellipsoids on the template grid, as `neurofm preprocess` would leave them."""
    grid = template_grid(spacing_mm)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    inside = sum((axis / 0.7) ** 2 for axis in axes) < 1
    noise = np.random.default_rng(0).normal(0, 3, grid.shape).astype(np.float32)
    write_volume(folder / "image.nii.gz", Volume(np.where(inside, noise, -12), grid.affine))
    write_volume(folder / "mask.nii.gz", Volume(inside, grid.affine), np.uint8)
    texts = dict.fromkeys(("session_id", "mask_path", "sex", "diagnosis", "site", "split"))
    frame = pd.DataFrame({"participant_id": [f"p{number:04d}" for number in range(scans)]})
    frame = frame.assign(
        scan_id="bench_" + frame["participant_id"], cohort="bench", path="/raw", problem=None,
        age_years=50.0, bytes=1, sha256="0" * 64, verdict="pass",
        image_path="image.nii.gz", brain_mask_path="mask.nii.gz", **texts,
    )  # fmt: skip
    write_index(frame, folder / "index.parquet")
    affine = tuple((row[0], row[1], row[2], row[3]) for row in grid.affine.tolist())
    contract = Contract(
        version=1, steps=(), template_sha256="bench", grid_shape=grid.shape,
        grid_affine=affine, normalisation="none",
    )  # fmt: skip
    write_contract(folder, contract)


def milliseconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median time of one call, after one call to warm up."""
    work()
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        spent.append(1000 * (time.perf_counter() - started))
    return float(np.median(spent))


def measure(folder: Path, scans: int) -> dict[str, float]:
    """Pack, open, read and verify a store of full-size scans."""
    write_derivatives(folder / "derivatives", scans)
    started = time.perf_counter()
    pack(folder / "derivatives", folder / "store", StoreConfig(scans_per_shard=8))
    packed = 1000 * (time.perf_counter() - started) / scans
    store = open_store(folder / "store")
    size = sum(path.stat().st_size for path in (folder / "store").rglob("*.npy"))
    plan, loader = [list(range(4))] * 10, ScanLoader(store)
    whole = milliseconds(lambda: sum(len(batch) for batch in loader.batches(plan)), 3)
    return {
        "pack_ms": packed,
        "size_mb": size / scans / 1e6,
        "open_ms": milliseconds(lambda: open_store(store.folder)),
        "read_image_ms": milliseconds(lambda: np.array(store.image(3))),
        "read_mask_ms": milliseconds(lambda: store.mask(3)),
        "load_batches_ms": whole / 40,
        "verify_ms": milliseconds(lambda: verify_store(store.folder), 1) / scans,
    }


def main() -> None:
    """Print what each part costs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("scans", type=int, nargs="?", default=12)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scans = arguments.scans
    print(f"{platform.machine()}, one thread, {scans} scans of 150x192x192 voxels, ms a scan")
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), scans)
    print(f"  pack         {found['pack_ms']:7.1f}")
    print(f"  size         {found['size_mb']:7.1f} MB a scan")
    print(f"  open         {found['open_ms']:7.1f} (whole store)")
    print(f"  read image   {found['read_image_ms']:7.1f} (as uint16)")
    print(f"  read mask    {found['read_mask_ms']:7.1f}")
    print(f"  load batches {found['load_batches_ms']:7.1f} (float32 image and mask, batches of 4)")
    print(f"  verify       {found['verify_ms']:7.1f}")
    if arguments.json:
        print(json.dumps({"scans": scans} | found))


if __name__ == "__main__":
    main()
