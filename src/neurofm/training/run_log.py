"""The course of a run: log.jsonl, one line a step and one an epoch, and TensorBoard events."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from io import FileIO
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from torch.utils.tensorboard import SummaryWriter

from neurofm.files import explained_writing, write_text

LOG_FILE = "log.jsonl"
_EVENTS = "tensorboard"


@runtime_checkable
class Line(Protocol):
    """What the log takes in."""

    @property
    def step(self) -> int:
        """Steps done so far in the whole run."""

    def as_json(self) -> dict[str, Any]:
        """The line, with `kind` and `step`; no number in it is infinite or NaN."""

    def scalars(self) -> Mapping[str, float]:
        """What TensorBoard is given, by tag."""


@dataclass(frozen=True)
class Record:
    """The line of a step or an epoch.

    Attributes:
        kind: "step", or "epoch" with means over the epoch's steps that counted.
        epoch: from 0, as in `Batch`.
        step: steps done so far in the whole run, so from 1; of an epoch its last.
        loss: the objective's total; not a number where a step was skipped.
        parts: what the loss is the sum of.
        figures: the objective's figures, such as alignment, uniformity and effective rank.
        gradient_norm: Euclidean norm of the whole gradient.
        learning_rate: of the optimiser.
        pairs_per_second: participants a second, over all processes.
        data_wait_share: share of the time spent waiting for scans, 0 to 1.
        seconds: duration.
        skipped_steps: steps skipped for a loss or gradient that was not finite, or for a bad scan.
        skipped_scans: the bad scans of a skipped step, or all its scans where none was bad; over
            all processes.
        bad_scans: why each of these could not be used.
    """

    kind: Literal["step", "epoch"]
    epoch: int
    step: int
    loss: float
    parts: Mapping[str, float]
    figures: Mapping[str, float]
    gradient_norm: float
    learning_rate: float
    pairs_per_second: float
    data_wait_share: float
    seconds: float
    skipped_steps: int
    skipped_scans: tuple[str, ...] = ()
    bad_scans: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Flat but for `parts`; a number that is not finite becomes null."""
        line = {name: value for name, value in vars(self).items() if name != "figures"}
        for name in ("skipped_scans", "bad_scans"):
            if not line[name]:
                del line[name]
        parts = {name: finite_or_none(value) for name, value in self.parts.items()}
        line |= dict(self.figures) | {"parts": parts}
        return {name: finite_or_none(value) for name, value in line.items()}

    def scalars(self) -> Mapping[str, float]:
        """Every number that is finite."""
        values = self.as_json() | {"skipped_steps": float(self.skipped_steps)}
        named = (values | values["parts"]).items()
        return {f"{self.kind}/{name}": value for name, value in named if isinstance(value, float)}


def record_of(line: Mapping[str, Any]) -> Record:
    """The record a line of the log was made from."""
    own = {each.name for each in fields(Record)}
    values = {name: _none_to_nan(value) for name, value in line.items()}
    figures = {name: value for name, value in values.items() if name not in own}
    parts = {name: _none_to_nan(value) for name, value in line["parts"].items()}
    scans = tuple(line.get("skipped_scans", ()))
    changes = {"figures": figures, "parts": parts, "skipped_scans": scans}
    return Record(**{name: value for name, value in values.items() if name in own} | changes)


class RunLog:
    """Appends lines; make one with `open_log`."""

    def __init__(self, lines: FileIO, events: SummaryWriter) -> None:
        self._lines, self._events = lines, events

    def add(self, line: Line) -> None:
        """Append one line and the same numbers as TensorBoard events.

        Raises:
            RunError: the disk is full.
        """
        data = (json.dumps(line.as_json(), allow_nan=False) + "\n").encode()
        with explained_writing(Path(str(self._lines.name))):
            while data:  # on a disk that is almost full, a part may be written without an error
                data = data[self._lines.write(data) :]
            for tag, value in line.scalars().items():
                self._events.add_scalar(tag, value, line.step)

    def secure(self) -> None:
        """Bring everything to the disk; done before a checkpoint says how far the log goes."""
        with explained_writing(Path(str(self._lines.name))):
            os.fsync(self._lines.fileno())
            self._events.flush()


@contextmanager
def open_log(folder: Path, last_step: int) -> Iterator[RunLog]:
    """The run's log, with all that was written after `last_step` dropped.

    Args:
        folder: the run's.
        last_step: the step the run goes on from; 0 begins a new log.
    """
    path = folder / LOG_FILE
    # A run that begins anew also probes its untrained encoder, step 0, anew.
    earlier = read_log(folder) if last_step else []
    kept = [json.dumps(line) + "\n" for line in earlier if line["step"] <= last_step]
    write_text(path, "".join(kept))
    events = SummaryWriter(str(folder / _EVENTS), purge_step=last_step + 1)
    try:
        # Unbuffered, or what a full disk refused would be tried again when the file is closed.
        with path.open("ab", buffering=0) as lines:
            yield RunLog(lines, events)
    finally:
        with explained_writing(folder / _EVENTS):
            events.close()


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line that a crash cut off is left out."""
    path = folder / LOG_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def epoch_record(steps: Sequence[Record]) -> Record:
    """Sum up one epoch's steps: means over those that counted, rates over all of them."""
    counted = [step for step in steps if not step.skipped_steps] or list(steps)
    seconds = sum(step.seconds for step in steps)
    pairs = sum(step.pairs_per_second * step.seconds for step in steps)
    waited = sum(step.data_wait_share * step.seconds for step in steps)
    last = steps[-1]
    return Record(
        kind="epoch",
        epoch=last.epoch,
        step=last.step,
        loss=_mean([step.loss for step in counted]),
        parts={name: _mean([step.parts[name] for step in counted]) for name in last.parts},
        figures={name: _mean([step.figures[name] for step in counted]) for name in last.figures},
        gradient_norm=_mean([step.gradient_norm for step in counted]),
        learning_rate=last.learning_rate,
        pairs_per_second=pairs / seconds,
        data_wait_share=waited / seconds,
        seconds=seconds,
        skipped_steps=sum(step.skipped_steps for step in steps),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _none_to_nan(value: Any) -> Any:
    return math.nan if value is None else value


def finite_or_none(value: Any) -> Any:
    """The value, or None in place of an infinite number or NaN, which JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
