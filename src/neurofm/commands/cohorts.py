"""`neurofm cohorts`: the cohorts of the paper, and what an index holds of them."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

app = App(name="cohorts", help="The paper's cohorts: list, show, compare with an index.")


@app.default
def list_() -> int:
    """List the known cohorts: how each is laid out, its people and scans, what it is for."""
    from neurofm.cohorts.known.description import known_cohorts
    from neurofm.commands.console import out
    from neurofm.commands.known_table import known_table

    out.print(known_table(known_cohorts()))
    out.print(
        "One in full: neurofm cohorts show NAME. To read it: neurofm index --cohort NAME FOLDER"
    )
    return 0


@app.command
def show(name: str) -> int:
    """Print where a cohort is obtained, on what terms, and how it is read.

    Args:
        name: of the cohort, e.g. adni.
    """
    from neurofm.cohorts.known.description import find_known
    from neurofm.commands.console import out
    from neurofm.commands.known_table import known_text

    out.print(known_text(find_known(name)), markup=False, soft_wrap=True)
    return 0


@app.command
def check(index: Path) -> int:
    """Compare an index with the paper's Table 1: people, scans, conditions.

    Args:
        index: an index of cohorts read with --cohort; split or not.
    """
    from neurofm.cohorts.index import read_index
    from neurofm.cohorts.known.found import found_cohorts, other_cohorts
    from neurofm.commands.console import err, out
    from neurofm.commands.found_table import found_table

    frame = read_index(index)
    out.print(found_table(found_cohorts(frame)))
    if others := other_cohorts(frame):
        err.print(f"note: not the paper's: {', '.join(others)}", markup=False, soft_wrap=True)
    return 0
