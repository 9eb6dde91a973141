"""The course of a run, from `log.jsonl`: steps, epochs, probes, alarms."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_LOG_FILE = "log.jsonl"


@dataclass(frozen=True)
class LossCurve:
    """Mean loss of each epoch, epochs counted from 1."""

    epochs: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Steps:
    """One number a step of each kind; NaN where a step has none, as a skipped one."""

    step: Values
    loss: Values
    learning_rate: Values
    pairs_per_second: Values
    data_wait_share: Values
    alignment: Values
    uniformity: Values
    effective_rank: Values
    mse_all_patches: Values
    mse_brain_patches: Values
    gradient_norm: Values
    skipped_steps: Values
    seconds: Values


@dataclass(frozen=True, eq=False)
class ProbeCurve:
    """One task over the run; the first point may be the untrained encoder, step 0."""

    task: str
    metric: str
    better: Literal["lower", "higher"]
    participants: int
    step: Values
    value: Values
    low: Values
    high: Values
    chance: Values


@dataclass(frozen=True, eq=False)
class ValidationCurve:
    """The validation part of a supervised run, after each epoch.

    Attributes:
        metric: by which the weights are chosen.
        step: steps done.
        value: of the metric.
        loss: as in training.
        best: the best value so far.
        best_epoch: epochs done by then.
    """

    metric: str
    step: Values
    value: Values
    loss: Values
    best: float
    best_epoch: int


@dataclass(frozen=True, eq=False)
class RunCourse:
    """All that the log tells.

    Attributes:
        steps: every finished step.
        epochs: epochs finished.
        steps_an_epoch: None before the first epoch's end.
        probes: a curve a task.
        alarms: what users were told, in plain words.
        validation: of a supervised run.
    """

    steps: Steps
    epochs: int
    steps_an_epoch: int | None
    probes: tuple[ProbeCurve, ...]
    alarms: tuple[str, ...]
    validation: ValidationCurve | None = None


def read_loss_curve(run: Path) -> LossCurve | None:
    """The loss of each epoch of a run; None where there is no log, as for imported weights."""
    rows = {
        row["epoch"]: row["loss"]
        for row in _rows(run)
        if row.get("kind") == "epoch"
        and isinstance(row.get("epoch"), int)
        and isinstance(row.get("loss"), float)
    }
    if not rows:
        return None
    return LossCurve(tuple(epoch + 1.0 for epoch in rows), tuple(rows.values()))


def read_course(run: Path) -> RunCourse:
    """Everything in the log of a run; nothing at all where no step is finished."""
    rows = _rows(run)
    steps = [row for row in rows if row.get("kind") == "step"]
    epochs = [row for row in rows if row.get("kind") == "epoch"]
    last = epochs[-1] if epochs else {"epoch": -1, "step": 0}
    finished = int(last["epoch"]) + 1
    columns = {name: _column(steps, name) for name in Steps.__dataclass_fields__}
    return RunCourse(
        steps=Steps(**columns),
        epochs=finished,
        steps_an_epoch=int(last["step"]) // finished if finished else None,
        probes=_probes([row for row in rows if row.get("kind") == "probe"]),
        alarms=tuple(str(row["text"]) for row in rows if row.get("kind") == "alarm"),
        validation=_validation([row for row in rows if row.get("kind") == "validation"]),
    )


def has_log(folder: Path) -> bool:
    """Whether the folder is that of a pre-training."""
    return (folder / _LOG_FILE).is_file()


def _probes(rows: list[dict[str, Any]]) -> tuple[ProbeCurve, ...]:
    curves = []
    for task in dict.fromkeys(row["task"] for row in rows):
        of_task = [row for row in rows if row["task"] == task]
        last = of_task[-1]
        curves.append(
            ProbeCurve(
                task,
                last["metric"],
                last["better"],
                last["participants"],
                *(_column(of_task, name) for name in ("step", "value", "low", "high", "chance")),
            )
        )
    return tuple(curves)


def _validation(rows: list[dict[str, Any]]) -> ValidationCurve | None:
    if not rows:
        return None
    best = [row for row in rows if row["is_best"]][-1]
    step, value, loss = (_column(rows, name) for name in ("step", "value", "loss"))
    metric, chosen = rows[-1]["metric"], (best["value"], best["epochs_done"])
    return ValidationCurve(metric, step, value, loss, *chosen)


def _column(rows: list[dict[str, Any]], name: str) -> Values:
    values = [row.get(name) for row in rows]
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _rows(run: Path) -> list[dict[str, Any]]:
    path = run / _LOG_FILE
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that is being written
        if isinstance(row, dict):
            rows.append(row)
    return rows
