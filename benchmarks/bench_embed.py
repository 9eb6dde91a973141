"""From a raw scan to an embedding with a published checkpoint: seconds, and other orientations.

python benchmarks/bench_embed.py [SCANS] [--orientations 8] (default ../shared/scans)

A checkpoint with the 125 names and shapes of the paper's released model, of random weights, is read
as a file; each scan is one command in a process of its own, start-up included. Then the first scan
is stored in other orientations and axis orders, all voxels and places kept, and embedded again.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from real_scans import fine_heads, scans_folder, whole_heads

from neurofm.config.encoders import ResNetConfig
from neurofm.models.encoder import build_encoder
from neurofm.models.projector import build_projector


def main(scans: Path, orientations: int) -> None:
    """Print the seconds of each scan, then the lowest cosine between orientations."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["NEUROFM_CACHE"] = str(folder / "cache")
        checkpoint = _checkpoint(folder / "released.tar")
        _embedded(whole_heads(scans)[0], checkpoint, folder)  # imports the file, compiles
        for path in [*whole_heads(scans)[:3], *fine_heads(scans)[:1]]:
            started = time.perf_counter()
            _embedded(path, checkpoint, folder)
            print(f"{path.name}: {time.perf_counter() - started:.1f} s", flush=True)
        scan = whole_heads(scans)[0]
        first = _embedded(scan, checkpoint, folder)
        lowest = 1.0
        for codes in _some_codes(orientations):
            stored = _stored_as(scan, codes, folder / f"{''.join(codes)}_T1w.nii.gz")
            cosine = _cosine(first, _embedded(stored, checkpoint, folder))
            print(f"{''.join(codes)}: cosine {cosine:.7f}", flush=True)
            lowest = min(lowest, cosine)
        print(f"lowest cosine of {orientations} orientations: {lowest:.7f}")


def _checkpoint(path: Path) -> Path:
    encoder = build_encoder(ResNetConfig(), seed=1).state_dict()
    projector = build_projector(512, 64, seed=1).state_dict()
    state = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    state |= {f"projector.{name}": tensor for name, tensor in projector.items()}
    torch.save({"model_state_dict": state}, path)
    return path


def _embedded(scan: Path, checkpoint: Path, folder: Path) -> np.ndarray:
    table = folder / "embedding.parquet"
    table.unlink(missing_ok=True)
    command = [sys.executable, "-m", "neurofm", "embed", str(scan), "--weights", str(checkpoint)]
    subprocess.run([*command, "-o", str(table)], check=True, capture_output=True)
    return np.asarray(pd.read_parquet(table)["embedding"][0], dtype=np.float64)


def _some_codes(count: int) -> list[tuple[str, ...]]:
    """Axis codes, evenly from all 48."""
    every = [
        codes
        for order in itertools.permutations(("RL", "AP", "SI"))
        for codes in itertools.product(*order)
    ]
    return [every[round(place)] for place in np.linspace(0, len(every) - 1, count)]


def _stored_as(scan: Path, codes: tuple[str, ...], path: Path) -> Path:
    image = nib.load(scan)
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(codes))
    nib.save(image.as_reoriented(turn), path)
    return path


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


if __name__ == "__main__":
    given = sys.argv.index("--orientations") if "--orientations" in sys.argv else 0
    wanted = int(sys.argv.pop(given + 1)) if given else 8
    if given:
        sys.argv.pop(given)
    main(scans_folder(), wanted)
