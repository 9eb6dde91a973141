"""The headline tables of an evaluation on the screen."""

from __future__ import annotations

from pathlib import Path

from neurofm.commands.console import err, out


def print_results(evaluation: Path) -> None:
    """Print the headline metric of every task and model, and the warnings."""
    from neurofm.reports.page import read_evaluation, tables_of
    from neurofm.reports.terminal import headline

    saved = read_evaluation(evaluation)
    for table in tables_of(saved):
        out.print(headline(table))
    for warning in saved.record.warnings:
        err.print(f"Warning: {warning}", markup=False, soft_wrap=True)
