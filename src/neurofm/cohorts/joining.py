"""Indexes of several cohorts become one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import COLUMNS, participant_keys, read_index
from neurofm.errors import TableError

_NUMBERS = ("age_years", "bytes")


def join_indexes(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of all indexes, in their order; files are not read again.

    Raises:
        TableError: one is no index, or a cohort stands in two of them.
    """
    frames = [read_index(path) for path in paths]
    origins: dict[str, Path] = {}
    for path, frame in zip(paths, frames, strict=True):
        for cohort in frame["cohort"].unique():
            earlier = origins.setdefault(cohort, path)
            if earlier != path:
                raise TableError(
                    f"holds the cohort '{cohort}', and so does {earlier}",
                    "index all its folders at once", path,
                )  # fmt: skip
    names = dict.fromkeys((*COLUMNS, *(name for frame in frames for name in frame.columns)))
    columns = {name: [cell for frame in frames for cell in _cells(frame, name)] for name in names}
    return pd.DataFrame({name: _column(name, cells) for name, cells in columns.items()})


def earlier_failures(frame: pd.DataFrame) -> tuple[Failure, ...]:
    """The scans of an index that could not be used when it was made."""
    bad = frame[frame["problem"].notna()]
    rows = zip(bad["path"], participant_keys(bad), bad["problem"], strict=True)
    return tuple(Failure(path, person, "index", "earlier", why) for path, person, why in rows)


def _cells(frame: pd.DataFrame, name: str) -> list[Any]:
    return list(frame[name]) if name in frame else [None] * len(frame)


def _column(name: str, cells: list[Any]) -> pd.Series[Any]:
    """Numbers where nothing else is known, else text."""
    filled = [cell for cell in cells if not pd.isna(cell)]
    is_text = any(isinstance(cell, str) for cell in filled)
    if name in _NUMBERS or (filled and not is_text):
        return pd.to_numeric(pd.Series(cells, dtype=object))
    return pd.Series([None if pd.isna(cell) else _as_text(cell) for cell in cells], dtype=object)


def _as_text(cell: Any) -> str:
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)
