"""What a study shows on the screen: its table, warnings and failures; its page is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neurofm.cohorts.failures import Failure
from neurofm.commands.console import err, out


def show_study(folder: Path, failures: Sequence[Failure]) -> int:
    """Write the page, tables and figures of a finished study, and print its table.

    Returns:
        the exit status: 1 where something failed.
    """
    from neurofm.reports.study_page import write_study_page
    from neurofm.reports.study_table import read_saved_study, table_of, terminal_table

    page, saved = write_study_page(folder), read_saved_study(folder)
    out.print(terminal_table(table_of(saved)))
    lines = [f"{failure.participant}: {failure.reason}" for failure in failures]
    lines += [f"Warning: {warning}" for warning in saved.record.warnings]
    for line in lines:
        err.print(line, markup=False, soft_wrap=True)
    out.print(f"Report: {page.resolve()}", markup=False, soft_wrap=True)
    return 1 if failures else 0
