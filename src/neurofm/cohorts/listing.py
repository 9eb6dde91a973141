"""What a reader hands over: the scans it found, not yet opened, and what it noticed."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from neurofm.cohorts.index import COLUMNS
from neurofm.cohorts.labels import Labels


@dataclass(frozen=True)
class ListedScan:
    """One scan of a source.

    Attributes:
        cohort: the cohort's name.
        participant_id: as the source writes it.
        path: the file, which may turn out to be missing or damaged.
        session_id: as the source writes it, or None.
        parts: what tells this scan from others of the session, e.g. ("run-2",).
        mask_path: a brain mask on the scan's grid, or None.
        labels: what is known of the participant at this session.
    """

    cohort: str
    participant_id: str
    path: Path
    session_id: str | None = None
    parts: tuple[str, ...] = ()
    mask_path: Path | None = None
    labels: Labels = field(default_factory=Labels)


@dataclass(frozen=True)
class Listing:
    """The scans of one source and notes on it."""

    scans: tuple[ListedScan, ...]
    notes: tuple[str, ...] = ()


def frame_of(scans: Sequence[ListedScan], taken: Collection[str] = ()) -> pd.DataFrame:
    """An index of scans that were not opened yet: no size, checksum or problem.

    Args:
        scans: one a row.
        taken: ids that other rows of the same index have.
    """
    names = _unique([_scan_name(scan) for scan in scans], taken)
    rows = [_row(scan, name) for scan, name in zip(scans, names, strict=True)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    frame["age_years"] = pd.to_numeric(frame["age_years"]).astype("float64")
    frame["bytes"] = frame["bytes"].astype("int64")
    others = list(dict.fromkeys(name for scan in scans for name in scan.labels.others))
    for name in others:
        cells = [scan.labels.others.get(name) for scan in scans]
        frame[name if name not in COLUMNS else f"{name}_given"] = _numbers_or_text(cells)
    return frame


def absolute(path: Path) -> Path:
    """A path that holds from any working folder; links are left as they are."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def named(items: Sequence[str], limit: int = 5) -> str:
    """ "a, b, c and 4 more": a list short enough for one line."""
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def others_note(series: Iterable[str], by: str = "their name") -> list[str]:
    """What a reader left aside, counted: the name of the series of each such file."""
    counts = Counter(series)
    if not counts:
        return []
    shown = named([f"'{name}' ({count})" for name, count in counts.most_common()])
    return [f"{counts.total()} files are no T1 scans by {by}: {shown}"]


def _row(scan: ListedScan, name: str) -> tuple[Any, ...]:
    labels = scan.labels
    values: dict[str, Any] = {
        "scan_id": name,
        "cohort": scan.cohort,
        "participant_id": scan.participant_id,
        "session_id": scan.session_id,
        "path": str(absolute(scan.path)),
        "mask_path": None if scan.mask_path is None else str(absolute(scan.mask_path)),
        "age_years": labels.age_years,
        "sex": labels.sex,
        "diagnosis": labels.diagnosis,
        "site": labels.site,
        "split": labels.split,
        "bytes": 0,
        "sha256": None,
        "problem": None,
    }
    return tuple(values[column] for column in COLUMNS)


def _scan_name(scan: ListedScan) -> str:
    parts = (scan.cohort, scan.participant_id, scan.session_id or "", *scan.parts)
    return "_".join(re.sub(r"[\s/\\]+", "-", part) for part in parts if part)


def _unique(names: list[str], others: Collection[str]) -> list[str]:
    """Names with _2, _3... behind those that stand more than once, or elsewhere; none is taken."""
    taken, seen, unique = {*names, *others}, Counter(others), []
    for name in names:
        seen[name] += 1
        chosen = name
        while seen[name] > 1 and chosen in taken:
            chosen = f"{name}_{seen[name]}"
            seen[name] += chosen in taken
        taken.add(chosen)
        unique.append(chosen)
    return unique


def _numbers_or_text(cells: list[str | None]) -> pd.Series[Any]:
    """Numbers where every cell is one and none looks like an id with leading zeros."""
    filled = [cell for cell in cells if cell is not None]
    numeric = all(re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", cell) for cell in filled)
    if filled and numeric:
        return pd.Series([float("nan") if cell is None else float(cell) for cell in cells])
    return pd.Series(cells, dtype=object)
