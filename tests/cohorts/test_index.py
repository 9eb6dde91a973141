"""The index keeps its columns, types and gaps through Parquet; failures become CSV rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from neurofm.cohorts.failures import Failure, failure_of, write_failures
from neurofm.cohorts.index import (
    COLUMNS,
    participant_keys,
    read_index,
    require_no_split,
    write_index,
)
from neurofm.cohorts.listing import ListedScan, frame_of
from neurofm.errors import ScanError, TableError


def frame() -> pd.DataFrame:
    return frame_of([ListedScan("a", "001", Path("/x/1.nii")), ListedScan("a", "2", Path("/x/2"))])


def test_an_index_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "index.parquet"
    full = frame().assign(
        age_years=[30.5, np.nan],
        sex=pd.Series(["F", None], dtype=object),
        nihss=[4.0, np.nan],
        hand=pd.Series(["left", None], dtype=object),
    )
    write_index(full, path)
    read = read_index(path)
    pd.testing.assert_frame_equal(read, full)
    assert read.loc[1, "sex"] is None
    assert read.loc[0, "participant_id"] == "001"
    assert list(read.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert list(participant_keys(read)) == ["a/001", "a/2"]


def test_the_types_on_disk_do_not_depend_on_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    write_index(frame(), path)
    types = {field.name: str(field.type) for field in pq.read_schema(path)}
    assert types.pop("age_years") == "double"
    assert types.pop("bytes") == "int64"
    assert set(types.values()) == {"string"}


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    with pytest.raises(TableError, match="no such index"):
        read_index(path)
    path.write_bytes(b"not parquet at all")
    with pytest.raises(TableError, match="not a readable Parquet file"):
        read_index(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(TableError, match="the columns scan_id"):
        read_index(path)


def test_a_repeated_or_empty_id_is_not_written(tmp_path: Path) -> None:
    for column, value, message in (
        ("scan_id", "same", "stands twice"),
        ("participant_id", None, "participant_id has empty cells"),
    ):
        with pytest.raises(TableError, match=message):
            write_index(frame().assign(**{column: value}), tmp_path / "index.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_split_index_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    require_no_split(path)
    write_index(frame(), path)
    require_no_split(path)
    write_index(frame().assign(split="pretrain"), path)
    with pytest.raises(TableError, match="already split"):
        require_no_split(path)


def test_failures_are_rows_with_the_path_in_its_own_column(tmp_path: Path) -> None:
    path = tmp_path / "failures.csv"
    error = ScanError("is\nempty", "copy it again", "/x/a,b.nii", kind="empty")
    failure = failure_of(error, "/x/a,b.nii", "a/001", "index")
    assert str(failure) == "empty /x/a,b.nii: is empty; copy it again"
    write_failures([failure], path)
    read = pd.read_csv(path, dtype=str)
    assert Failure(**read.iloc[0].to_dict()) == failure
    write_failures([], path)
    assert not path.exists()
    write_failures([], path)
