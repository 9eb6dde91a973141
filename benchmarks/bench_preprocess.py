"""Seconds and memory of preprocessing: one scan at a time, and two side by side.

python benchmarks/bench_preprocess.py [SCANS] (default ../shared/scans)
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)

from real_scans import coarse_heads, fine_heads, scans_folder, stripped_heads, whole_heads

from neurofm.config import PreprocessConfig
from neurofm.preprocess.pipeline import prepare_scan

STEPS = ("brain-extraction", "bias-field", "registration")


def main(scans: Path) -> None:
    """Print what each kind of scan costs in one thread, then the gain of a second process."""
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    prepare_scan(whole_heads(scans)[0], PreprocessConfig())  # loads libraries, network, template
    kinds = {
        "whole head, 1 x 1.33 x 1.33 mm": whole_heads(scans),
        "stripped, 0.87 x 0.87 x 1 mm": stripped_heads(scans)[:3],
        "whole head, 0.7 mm": fine_heads(scans) * 2,
        "whole head, 2 mm": coarse_heads(scans)[:3],
    }
    for name, paths in kinds.items():
        print(f"{name}: {_medians(paths)}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory of this process {peak:.1f} GB")
    print(_side_by_side(whole_heads(scans)[:6]))


def _medians(paths: Sequence[Path]) -> str:
    rows = []
    for path in paths:
        started = time.perf_counter()
        seconds = prepare_scan(path, PreprocessConfig()).seconds
        rows.append((time.perf_counter() - started, *(seconds[step] for step in STEPS)))
    total, *steps = (statistics.median(column) for column in zip(*rows, strict=True))
    parts = ", ".join(f"{step} {value:.1f}" for step, value in zip(STEPS, steps, strict=True))
    slowest = max(row[0] for row in rows)
    return f"median of {len(rows)} {total:.1f} s (slowest {slowest:.1f}): {parts}"


def _side_by_side(paths: Sequence[Path]) -> str:
    """Scans a minute of one process and of two, both warm."""
    rates = [_scans_a_minute(paths, workers) for workers in (1, 2)]
    return f"scans a minute: 1 process {rates[0]:.2f}, 2 processes {rates[1]:.2f}, " + (
        f"ratio {rates[1] / rates[0]:.2f}"
    )


def _scans_a_minute(paths: Sequence[Path], workers: int) -> float:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        list(pool.map(_prepare, paths[:workers]))
        started = time.perf_counter()
        list(pool.map(_prepare, paths))
        return 60 * len(paths) / (time.perf_counter() - started)


def _prepare(path: Path) -> None:
    prepare_scan(path, PreprocessConfig())


if __name__ == "__main__":
    main(scans_folder())
