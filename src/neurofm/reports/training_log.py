"""The course of a pre-training, from `log.jsonl`: the mean loss of each epoch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LossCurve:
    """Mean loss of each epoch, epochs counted from 1."""

    epochs: tuple[float, ...]
    losses: tuple[float, ...]


def read_loss_curve(run: Path) -> LossCurve | None:
    """The loss of each epoch of a run; None where there is no log, as for imported weights."""
    path = run / "log.jsonl"
    if not path.is_file():
        return None
    rows = {
        row["epoch"]: row["loss"]
        for row in _rows(path.read_text(encoding="utf-8"))
        if row.get("kind") == "epoch"
        and isinstance(row.get("epoch"), int)
        and isinstance(row.get("loss"), float)
    }
    if not rows:
        return None
    return LossCurve(tuple(epoch + 1.0 for epoch in rows), tuple(rows.values()))


def _rows(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that is being written
        if isinstance(row, dict):
            rows.append(row)
    return rows
