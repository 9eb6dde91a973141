"""Scans that could not be used: one row each, in `failures.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from neurofm.errors import ScanError
from neurofm.files import write_text


@dataclass(frozen=True)
class Failure:
    """One scan that one step could not use.

    Attributes:
        path: the scan's file.
        participant: "cohort/participant_id".
        step: the work that failed, e.g. "index" or "registration".
        kind: a short word for the class of problem, e.g. "truncated".
        reason: what is wrong and what to do, in one line.
    """

    path: str
    participant: str
    step: str
    kind: str
    reason: str

    def __str__(self) -> str:
        return " ".join(f"{self.kind} {self.path}: {self.reason}".split())


def failure_of(error: ScanError, path: Path | str, participant: str, step: str) -> Failure:
    """The failure row of an error: its reason without the path, which has its own column."""
    reason = f"{error.what}; {error.mend}" if error.mend else error.what
    return Failure(str(path), participant, step, error.kind, " ".join(reason.split()))


def write_failures(failures: Sequence[Failure], path: Path) -> None:
    """Write failures as CSV; with none, remove the file that an earlier run may have left."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Failure))
    writer.writerows(astuple(failure) for failure in failures)
    write_text(path, text.getvalue())
