"""`neurofm quality`: one page with picture, numbers and verdict of every preprocessed scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def quality(
    derivatives: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    without_ids: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write one self-contained HTML page for checking a batch by eye, failed scans first.

    Parameters
    ----------
    derivatives
        folder of neurofm preprocess.
    output
        the page; quality.html in the folder by default.
    without_ids
        a page to share: numbers instead of scan ids, no paths, no file names. Names of cohorts
        stay. By default quality-without-ids.html in the folder.
    """
    from neurofm.commands.console import out
    from neurofm.reports.quality_page import write_quality_page
    from neurofm.reports.quality_table import read_quality

    counts = read_quality(derivatives).counts()
    page = write_quality_page(derivatives, output, ids=not without_ids)
    words = ", ".join(f"{count} {verdict}" for verdict, count in reversed(counts.items()))
    out.print(f"{sum(counts.values())} scans: {words}")
    out.print(f"Page: {page.resolve()}", markup=False, soft_wrap=True)
    return 0
