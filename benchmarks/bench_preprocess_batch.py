"""All real scans through `neurofm preprocess`, twice: time, memory, verdicts, equal files.

python benchmarks/bench_preprocess_batch.py [SCANS] (default ../shared/scans); about 25 minutes
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from real_scans import scans_folder

from neurofm.cohorts.index import read_index

WORKERS = 2
# What differs between two runs that gave the same: the lock, and the page, which tells the seconds.
_NOT_RESULTS = {".lock", "quality.html"}


def main(scans: Path) -> None:
    """Print what became of the scans, what it cost, and how many files two runs have in common."""
    with tempfile.TemporaryDirectory() as name:
        folder, index = Path(name), Path(name) / "index.parquet"
        status = _neurofm("index", scans, "-o", index)
        print(f"indexed: {len(read_index(index))} scans, exit status {status}", flush=True)
        for run in ("first", "second"):
            print(f"{run} run: {_prepare(index, folder / run)}", flush=True)
        first, second = (_files(folder / run) for run in ("first", "second"))
    equal = sum(second.get(name) == data for name, data in first.items())
    print(f"files: {len(first)} of the first run, {len(second)} of the second, {equal} equal")


def _prepare(index: Path, folder: Path) -> str:
    started = time.perf_counter()
    status = _neurofm("preprocess", index, "-o", folder, "--workers", WORKERS)
    seconds = time.perf_counter() - started
    finished = read_index(folder / "index.parquet")
    for row in finished[finished["verdict"] != "pass"].itertuples():
        print(f"{row.scan_id}: {row.verdict}")
    verdicts = Counter(finished["verdict"])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    return (
        f"{len(finished)} scans finished, exit status {status}; "
        + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        + f"; {seconds / 60:.1f} minutes with {WORKERS} processes, "
        f"{seconds / max(len(finished), 1):.1f} s a scan; "
        f"peak memory of a process {peak:.1f} GB"
    )


def _neurofm(*words: object) -> int:
    command = [sys.executable, "-m", "neurofm", *map(str, words)]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def _files(folder: Path) -> dict[str, str]:
    """A checksum of every result; sidecars without their seconds."""
    found = {}
    for path in folder.rglob("*"):
        if not path.is_file() or path.name in _NOT_RESULTS:
            continue
        data = path.read_bytes()
        if path.suffix == ".json" and b'"seconds"' in data:
            data = json.dumps(json.loads(data) | {"seconds": None}, sort_keys=True).encode()
        found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found


if __name__ == "__main__":
    main(scans_folder())
