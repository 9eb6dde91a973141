"""Who trains, validates and tests in a study: on file, and not divided anew without a word."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from neurofm.errors import RunError
from neurofm.evaluation.saved_tables import read_table, write_tables
from neurofm.files import fingerprint_of
from neurofm.study.opened import OpenedStudy
from neurofm.study.record import PARTS


def parts_table(opened: OpenedStudy) -> pd.DataFrame:
    """A row for each scan of each task, the site included: task, participant, scan and part."""
    tasks = {task.name: opened.whole(task) for task in opened.study.tasks}
    if opened.site is not None:
        tasks[opened.site.target.task] = opened.site
    tables = [
        pd.DataFrame(
            {
                "task": name,
                "participant": list(parted.target.keys),
                "scan_id": opened.frame["scan_id"].iloc[parted.target.rows].to_numpy(),
                "part": parted.roles,
            }
        )
        for name, parted in tasks.items()
    ]
    return pd.concat(tables, ignore_index=True)


def parts_fingerprint(opened: OpenedStudy) -> str:
    """Sixteen hex digits that change with any person's part in any task."""
    return fingerprint_of(parts_table(opened).to_numpy().tolist())


def keep_parts(opened: OpenedStudy, folder: Path) -> None:
    """Write who has which part, where the folder does not say it already.

    Raises:
        RunError: a task of the folder was divided otherwise; tasks may come and go.
    """
    parts, path = parts_table(opened), folder / PARTS
    before = read_table(path) if path.is_file() else parts.iloc[:0]
    for name, own in parts.groupby("task"):
        earlier = before[before["task"] == name]
        if len(earlier) and not earlier.reset_index(drop=True).equals(own.reset_index(drop=True)):
            raise RunError(
                f"its task '{name}' was divided otherwise into training, validation and test",
                "choose another -o, or the split it had", folder,
            )  # fmt: skip
    write_tables(folder, {PARTS: parts})
