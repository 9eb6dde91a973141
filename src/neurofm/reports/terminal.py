"""The headline of a task as a table for the terminal, 80 columns wide."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neurofm.reports.tables import TaskTable


def headline(table: TaskTable) -> Table:
    """Each model's first metric: mean and spread over seeds, interval, gain of the pre-trained."""
    title = f"{table.title}: {table.columns[0]}, {table.participants}"
    shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for name in ("model", "mean ± seeds", "interval", "gain", "p (Holm)"):
        shown.add_column(name, no_wrap=name != "model")
    for row in table.rows:
        value, gain = row.cells[0], row.cells[-1]
        mean = Text(f"{value.value} {value.spread}", style="bold" if value.best else "")
        shown.add_row(row.model, mean, value.interval, gain.value, gain.note.removeprefix("p = "))
    return shown
