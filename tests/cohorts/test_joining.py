"""Several indexes become one, as they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurofm.cohorts.index import read_index, write_index
from neurofm.cohorts.readers import index_sources
from neurofm.errors import LeakageError, TableError

WriteScan = Callable[..., Path]


@pytest.fixture
def two(tmp_path: Path, write_scan: WriteScan) -> tuple[Path, Path]:
    """Indexes of two tables with other labels, one file of which cannot be read."""
    for name in "abc":
        write_scan(f"{name}.nii.gz")
    (tmp_path / "bad.nii.gz").write_bytes(b"")
    (tmp_path / "one.csv").write_text(
        "participant_id,path,age,split,nihss,code\n1,a.nii.gz,70,test,4,x\n2,b.nii.gz,,pretrain,,\n"
    )
    (tmp_path / "two.csv").write_text(
        "participant_id,path,age,code\n1,c.nii.gz,30,7\n2,bad.nii.gz,31,8\n"
    )
    paths = tmp_path / "one.parquet", tmp_path / "two.parquet"
    for path in paths:
        write_index(index_sources([path.with_suffix(".csv")]).frame, path)
    return paths


def test_rows_and_labels_of_all_indexes_are_kept(two: tuple[Path, Path], tmp_path: Path) -> None:
    joined = index_sources(two)
    assert list(joined.frame["scan_id"]) == ["one_1", "one_2", "two_1", "two_2"]
    np.testing.assert_array_equal(joined.frame["age_years"], [70, np.nan, 30, 31])
    np.testing.assert_array_equal(joined.frame["nihss"], [4, np.nan, np.nan, np.nan])
    assert list(joined.frame["code"]) == ["x", None, "7", "8"]
    assert [failure.kind for failure in joined.failures] == ["earlier"]
    write_index(joined.frame, tmp_path / "all.parquet")
    again = read_index(tmp_path / "all.parquet")
    assert list(again["split"]) == ["test", "pretrain", None, None]


def test_a_cohort_in_two_indexes_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.parquet"
    write_index(read_index(two[0]), copy)
    with pytest.raises(TableError, match="holds the cohort 'one', and so does .*one.parquet"):
        index_sources([two[0], copy])


def test_an_index_among_folders_is_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is an index among other sources"):
        index_sources([two[0], tmp_path / "two.csv"])


def test_a_file_on_two_sides_is_refused(two: tuple[Path, Path]) -> None:
    """Case 87."""
    first, second = read_index(two[0]), read_index(two[1])
    copied = second.assign(sha256=first["sha256"], split="train")
    write_index(copied, two[1])
    with pytest.raises(LeakageError, match="one/1, one/2, two/1, two/2"):
        index_sources(two)
