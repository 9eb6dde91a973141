"""`neurofm index`: the scans of folders and tables, verified, in one index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def index(
    *sources: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    cohort: str | None = None,
    root: Path | None = None,
    one_scan_per_participant: Annotated[bool, Parameter(negative="")] = False,
    verify: bool = True,
    volume: int | None = None,
    assume_orientation: Literal["LAS", "RAS"] | None = None,
) -> int:
    """List the scans of all sources in one index, and read every file once to verify it.

    Args:
        sources: BIDS or IXI folders, CSV or TSV, NIfTI files or folders; or indexes to join.
        output: the index to write (.parquet); failures.csv is written beside it.
        cohort: all sources are folders of this known cohort, as downloaded; see: neurofm cohorts.
        root: where the paths of tables from another machine begin here.
        one_scan_per_participant: in tables without participant_id each line is another person.
        verify: read every file through; --no-verify only looks whether it is there.
        volume: which volume of a 4-D file counts, from 0; the recipe must say the same to
            preprocess: preprocess.volume_index=N.
        assume_orientation: how the voxels lie where a header does not say; the recipe must say
            the same to preprocess: preprocess.assume_orientation=RAS.
    """
    from neurofm.cohorts.failures import write_failures
    from neurofm.cohorts.index import require_no_split, write_index
    from neurofm.cohorts.known.description import find_known
    from neurofm.cohorts.readers import index_sources
    from neurofm.commands.cohort_table import cohort_table
    from neurofm.commands.console import BarProgress, err, out, show_problems
    from neurofm.files import require_writable

    require_no_split(output)
    require_writable(output)
    indexed = index_sources(
        sources, verify, BarProgress(), known=find_known(cohort) if cohort else None, root=root,
        one_scan_per_participant=one_scan_per_participant, volume_index=volume,
        assume_orientation=assume_orientation,
    )  # fmt: skip
    write_index(indexed.frame, output)
    write_failures(indexed.failures, output.parent / "failures.csv")
    status = show_problems(indexed.notes, indexed.failures)
    out.print(cohort_table(indexed.frame))
    out.print(f"index: {output}", markup=False, soft_wrap=True)
    if indexed.failures:
        failed = f"{len(indexed.failures)} scans cannot be used: {output.parent / 'failures.csv'}"
        err.print(failed, markup=False, soft_wrap=True)
    return status
