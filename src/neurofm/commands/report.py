"""`neurofm report`: rebuild the page and the tables from saved results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from neurofm.commands.console import out


def report(
    evaluation: Path,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    run: Path | None = None,
) -> int:
    """Write one self-contained HTML page and, beside it, results.md and results.csv.

    Parameters
    ----------
    evaluation
        Folder of a finished neurofm evaluate.
    output
        The page; report.html in the evaluation's folder by default.
    run
        The pre-training run, for its loss curve.
    """
    from neurofm.reports.page import write_report

    page = write_report(evaluation, run, output or evaluation / "report.html")
    out.print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)
    return 0
