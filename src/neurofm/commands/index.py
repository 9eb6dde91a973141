"""`neurofm index`: list the scans of folders and tables, judged file by file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    import pandas as pd


def index(
    *sources: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    verify: bool = True,
) -> int:
    """List the scans of BIDS folders, IXI folders, tables and files in one Parquet index.

    Parameters
    ----------
    sources
        BIDS or IXI folders, folders of NIfTI, CSV/TSV tables, single scans.
    output
        The index to write, a .parquet file; `failures.csv` is written beside it.
    verify
        Read every file once from end to end; --no-verify only looks whether it is there.
    """
    from neurofm.cohorts.failures import write_failures
    from neurofm.cohorts.index import write_index
    from neurofm.cohorts.readers import index_sources
    from neurofm.commands.console import BarProgress, err, out
    from neurofm.errors import ConfigError

    if not sources:
        raise ConfigError("no source was given", "neurofm index FOLDER -o index.parquet")
    found = index_sources(sources, verify, BarProgress())
    write_index(found.frame, output)
    write_failures(found.failures, output.parent / "failures.csv")
    for note in found.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    for failure in found.failures:
        err.print(f"ScanError: {failure.path}: {failure.reason}", markup=False, soft_wrap=True)
    print_summary(found.frame)
    out.print(f"Index: {output}", markup=False, soft_wrap=True)
    return 1 if found.failures else 0


def print_summary(frame: pd.DataFrame) -> None:
    """Print one line for each cohort: participants, scans, missing labels, problems."""
    from rich.table import Table

    from neurofm.commands.console import out

    table = Table("cohort", "participants", "scans", "no age", "no sex", "problems")
    for cohort, rows in frame.groupby("cohort"):
        counts = (rows["participant_id"].nunique(), len(rows), rows["age_years"].isna().sum(),
                  rows["sex"].isna().sum(), rows["problem"].notna().sum())  # fmt: skip
        table.add_row(str(cohort), *(str(count) for count in counts))
    out.print(table)
