"""The index: one row for each scan, the same columns for every cohort, kept as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from neurofm.cohorts.text_table import nearest, plain_name
from neurofm.errors import TableError
from neurofm.files import atomic_path

_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()
_TYPES: dict[str, Any] = {
    "scan_id": _TEXT,
    "cohort": _TEXT,
    "participant_id": _TEXT,
    "session_id": _TEXT,
    "path": _TEXT,
    "mask_path": _TEXT,
    "age_years": _NUMBER,
    "sex": _TEXT,
    "diagnosis": _TEXT,
    "site": _TEXT,
    "split": _TEXT,
    "bytes": _COUNT,
    "sha256": _TEXT,
    "problem": _TEXT,
}
# Every index has these; label columns of the sources follow them.
COLUMNS = tuple(_TYPES)
_NEVER_EMPTY = ("scan_id", "cohort", "participant_id", "path")


def read_index(path: Path) -> pd.DataFrame:
    """Read an index; text columns hold str or None, numbers are NaN where missing.

    Raises:
        TableError: no such file, not Parquet, or not an index.
    """
    try:
        frame = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise TableError(
            "no such index", "make it with: neurofm index SOURCE... -o INDEX", path
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"is not a readable Parquet file ({error})", "", path) from None
    frame = _with_none(frame)
    check_index(frame, path)
    return frame


def write_index(frame: pd.DataFrame, path: Path) -> None:
    """Check an index and write it atomically; equal frames give equal files.

    Raises:
        TableError: a column is missing, or a scan_id is empty or not unique.
    """
    check_index(frame, path)
    labels = [name for name in frame.columns if name not in COLUMNS]
    arrays = [pa.array(_with_none(frame[[name]])[name], _TYPES[name]) for name in COLUMNS]
    arrays += [_label_array(frame[name]) for name in labels]
    table = pa.Table.from_arrays(arrays, names=[*COLUMNS, *labels])
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def check_index(frame: pd.DataFrame, where: Path | str) -> None:
    """Raise a `TableError` where a frame is not an index; an index may be empty."""
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise TableError(
            f"is no index: the columns {', '.join(missing)} are missing",
            "make it with: neurofm index SOURCE... -o INDEX",
            where,
        )
    for name in _NEVER_EMPTY:
        if frame[name].isna().any():
            raise TableError(f"the column {name} has empty cells", "", where)
    repeated = frame.loc[frame["scan_id"].duplicated(), "scan_id"]
    if len(repeated):
        raise TableError(f"the scan_id '{repeated.iloc[0]}' stands twice", "", where)


def require_no_split(path: Path) -> None:
    """Raise a `TableError` where an index that is already divided would be overwritten."""
    if path.exists() and read_index(path)["split"].notna().any():
        raise TableError(
            "is an index that is already split", "choose another output, or delete it", path
        )


def column_mend(frame: pd.DataFrame, name: str) -> str:
    """What to do about a column that an index lacks: take the nearest it has, or one of all."""
    columns = [str(column) for column in frame.columns]
    near = nearest(plain_name(name), columns)
    return f"did you mean '{near}'?" if near else f"it has: {', '.join(columns)}"


def participant_keys(frame: pd.DataFrame) -> pd.Series[str]:
    """ "cohort/participant_id" of each row: one person, whatever the cohort's numbering."""
    return frame["cohort"].astype(str) + "/" + frame["participant_id"].astype(str)


def _with_none(frame: pd.DataFrame) -> pd.DataFrame:
    """Text columns as Python objects with None for missing, whatever pandas made of them."""
    changed = {
        name: frame[name].astype(object).where(frame[name].notna(), None)
        for name in frame.columns
        if not pd.api.types.is_numeric_dtype(frame[name])
    }
    return frame.assign(**changed)


def _label_array(column: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(column):
        return pa.array(column)
    return pa.array(_with_none(column.to_frame("label"))["label"].map(_text_or_none), pa.string())


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
