"""The known cohorts on screen: all of them, or everything about one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from neurofm.cohorts.known.description import KnownCohort
from neurofm.cohorts.known.reading import LAYOUTS


def known_table(cohorts: Sequence[KnownCohort]) -> Table:
    """One line for each cohort."""
    table = Table("cohort", "layout", title="Cohorts of the paper", title_justify="left")
    for name in ("people", "T1 scans"):
        table.add_column(name, justify="right")
    for name in ("conditions", "use"):
        table.add_column(name)
    for cohort in cohorts:
        scans = [number(use.scans) for use in cohort.uses]
        people = [number(use.participants) for use in cohort.uses]
        lines = ("\n".join(each) for each in (people, scans))
        uses = "\n".join(use.use for use in cohort.uses)
        table.add_row(cohort.name, cohort.layout, *lines, ", ".join(cohort.conditions), uses)
    return table


def known_text(cohort: KnownCohort) -> str:
    """Everything about one cohort, a line each."""
    uses = (
        f"{number(u.participants)} people, {number(u.scans)} scans: {u.use}" for u in cohort.uses
    )
    words = ", ".join(f"{word} = {meaning}" for word, meaning in cohort.diagnoses.items())
    scales = ", ".join(f"{name} from {a:g} to {b:g}" for name, (a, b) in cohort.scales.items())
    rows = {
        "source": cohort.source,
        "terms": cohort.terms,
        "folder": LAYOUTS[cohort.layout],
        "in Table 1": "; ".join(uses),
        "conditions": ", ".join(cohort.conditions),
        "its words": words,
        "by default": cohort.everyone or "",
        "age": ", ".join((*cohort.age_columns, *cohort.ages_by_session.values())),
        "scales": scales,
        "remark": cohort.remark,
    }
    lines = (f"{name:12s}{text}" for name, text in rows.items() if text)
    return "\n".join([f"{cohort.name}: {cohort.title}", *lines])


def number(count: int | None) -> str:
    """A count with its thousands apart, or n/a."""
    return "n/a" if count is None else f"{count:,}"
