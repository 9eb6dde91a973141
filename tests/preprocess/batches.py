"""What tests of whole batches share: an index of files, the command, and what a folder holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd

from neurofm.cohorts.index import COLUMNS

QUICK = (
    "preprocess.spacing_mm=6", "preprocess.bias_field_spacing_mm=6",
    "preprocess.bias_field_shrink=2", "preprocess.registration_spacing_mm=4",
)  # fmt: skip


def index_of(paths: dict[str, Path]) -> pd.DataFrame:
    """An index of one cohort "c"; keys are the participants."""
    rows = [
        dict.fromkeys(COLUMNS)
        | {"scan_id": f"c_{name}", "cohort": "c", "participant_id": name, "path": str(path)}
        for name, path in paths.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def command(index: Path, folder: Path, workers: int, *options: str) -> list[str]:
    """`neurofm preprocess` with the settings of the fixture `quick_config`."""
    return [
        sys.executable, "-m", "neurofm", "preprocess", str(index), *QUICK, "-o", str(folder),
        "--workers", str(workers), *options,
    ]  # fmt: skip


def results(folder: Path) -> dict[str, bytes]:
    """Every file that a batch left, but for the page, the lock, and the seconds in sidecars."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if name in {".lock", "quality.html"}:
            continue
        data = path.read_bytes()
        if path.suffix == ".json" and b'"seconds"' in data:
            data = json.dumps(json.loads(data) | {"seconds": None}, sort_keys=True).encode()
        found[name] = data
    return found
