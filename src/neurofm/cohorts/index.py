"""The index: one row a scan, who was scanned and where the file is, as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from neurofm.errors import TableError
from neurofm.files import atomic_path

TEXT_COLUMNS = (
    "scan_id", "cohort", "participant_id", "session_id", "path", "mask_path", "sex", "diagnosis",
    "site", "split", "sha256", "problem",
)  # fmt: skip
COLUMNS = (
    "scan_id", "cohort", "participant_id", "session_id", "path", "mask_path", "age_years", "sex",
    "diagnosis", "site", "split", "bytes", "sha256", "problem",
)  # fmt: skip
_REQUIRED = ("scan_id", "cohort", "participant_id", "path")


def build_index(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Rows of scans as a checked index: known columns first and typed, label columns after.

    Missing text is None, a missing age NaN, a missing size -1.
    """
    frame = pd.DataFrame(list(rows))
    extra = [column for column in frame.columns if column not in COLUMNS]
    frame = frame.reindex(columns=[*COLUMNS, *extra])
    for column in TEXT_COLUMNS:
        frame[column] = pd.Series(
            [None if _is_missing(v) else str(v) for v in frame[column]], dtype=object
        )
    frame["age_years"] = pd.to_numeric(frame["age_years"]).astype(np.float64)
    frame["bytes"] = pd.to_numeric(frame["bytes"]).fillna(-1).astype(np.int64)
    return frame


def read_index(path: Path) -> pd.DataFrame:
    """Read an index written by `neurofm index`.

    Raises:
        TableError: it is missing, no Parquet, or no index.
    """
    if not path.is_file():
        raise TableError("no such index", "make one: neurofm index SOURCE -o index.parquet", path)
    try:
        frame = pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid):
        raise TableError(
            "is not Parquet", "make an index: neurofm index SOURCE -o index.parquet", path
        ) from None
    for column in TEXT_COLUMNS:
        if column in frame.columns:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
    _check(frame, path)
    return frame


def write_index(frame: pd.DataFrame, path: Path) -> None:
    """Check an index and write it atomically.

    Raises:
        TableError: a required column is missing, or two rows have the same scan_id.
    """
    _check(frame, path)
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def participant_keys(frame: pd.DataFrame) -> pd.Series:
    """ "cohort/participant_id" of each row: the same id in two cohorts is two people."""
    return frame["cohort"].astype(str) + "/" + frame["participant_id"].astype(str)


def _check(frame: pd.DataFrame, path: Path) -> None:
    for column in _REQUIRED:
        if column not in frame.columns:
            raise TableError(f"has no column '{column}'", "make it with neurofm index", path)
    repeated = frame["scan_id"][frame["scan_id"].duplicated()]
    if len(repeated):
        raise TableError(f"two rows have the scan_id '{repeated.iloc[0]}'", "index again", path)


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
