"""Scans that could not be used: one row each in `failures.csv`, so nothing is lost silently."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from neurofm.errors import ScanError
from neurofm.files import atomic_path


@dataclass(frozen=True)
class Failure:
    """One scan that failed.

    Attributes:
        path: the file it is about.
        participant: key "cohort/participant_id".
        step: where it failed ("index", "read", "registration", "pack"...).
        kind: class of problem, a short word ("missing", "truncated", "not-3d"...).
        reason: what is wrong and what to do, one line.
    """

    path: str
    participant: str
    step: str
    kind: str
    reason: str


def failure_of(error: ScanError, path: str, participant: str, step: str) -> Failure:
    """The row for a `ScanError`; the path stands in its own column, not in the reason."""
    reason = f"{error.what}; {error.mend}" if error.mend else error.what
    return Failure(path, participant, step, error.kind, " ".join(reason.split()))


def write_failures(failures: Sequence[Failure], path: Path) -> None:
    """Write the failures as CSV; without any, a stale file is removed."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Failure)])
        writer.writerows(astuple(failure) for failure in failures)
