"""What an index holds of the known cohorts on screen, beside the paper's Table 1."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from neurofm.cohorts.known.found import Found
from neurofm.commands.known_table import number


def found_table(found: Sequence[Found]) -> Table:
    """Found against expected, as Table 1, with the totals of pre-training."""
    table = Table("cohort", "use", title="Found / Table 1", title_justify="left")
    for name in ("people", "T1 scans"):
        table.add_column(name, justify="right")
    for name in ("conditions", "Table 1"):
        table.add_column(name)
    pretraining = [each for each in found if each.use.use == "pre-training"]
    for each in pretraining:
        table.add_row(*_line(each))
    table.add_section()
    table.add_row("total", "pre-training", *_totals(pretraining))
    table.add_section()
    for each in found:
        if each not in pretraining:
            table.add_row(*_line(each))
    return table


def _line(each: Found) -> list[str]:
    return [
        each.cohort.name,
        each.use.use,
        f"{number(each.participants)} / {number(each.use.participants)}",
        f"{number(each.scans)} / {number(each.use.scans)}",
        "not split yet" if each.participants is None else ", ".join(each.conditions),
        ", ".join(each.cohort.conditions),
    ]


def _totals(lines: Sequence[Found]) -> tuple[str, str]:
    people = sum(each.participants or 0 for each in lines)
    scans = sum(each.scans or 0 for each in lines)
    expected_people = sum(each.use.participants for each in lines)
    expected_scans = sum(each.use.scans or 0 for each in lines)
    return (
        f"{number(people)} / {number(expected_people)}",
        f"{number(scans)} / {number(expected_scans)}",
    )
