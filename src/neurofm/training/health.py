"""The alarm on collapse: when the features of a run no longer tell scans apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from neurofm.config.health import HealthConfig
from neurofm.training.run_log import Record, record_of

# Two views of each of 8 participants: even perfectly aligned, they can show 7 directions.
_MIN_BATCH_FOR_RANK = 8
_MEANINGS = {
    "uniformity": "all projections point almost the same way",
    "effective_rank": "the features of a batch lie almost on one line",
}


@dataclass(frozen=True)
class Alarm:
    """The features have collapsed; one line of the log.

    Attributes:
        epoch: from 0, the epoch under way.
        step: the step that gave the alarm.
        figure: "uniformity" or "effective_rank".
        value: its median over the last steps.
        limit: what it may not pass.
    """

    epoch: int
    step: int
    figure: str
    value: float
    limit: float
    kind: Literal["alarm"] = "alarm"

    @property
    def text(self) -> str:
        """What a user is told, in one line."""
        name, side = self.figure.replace("_", " "), "above" if self.value > self.limit else "below"
        return (
            f"the features have collapsed (step {self.step}): {_MEANINGS[self.figure]}, "
            f"{name} {self.value:.3g} is {side} {self.limit:g}; see run.html, and try a lower "
            "learning rate or weight decay in another -o"
        )

    def as_json(self) -> dict[str, Any]:
        """The line of the log."""
        return vars(self) | {"text": self.text}

    def scalars(self) -> Mapping[str, float]:
        """What TensorBoard is given."""
        return {f"alarm/{self.figure}": self.value}


class CollapseAlarm:
    """Judges every step of a run, and raises one alarm at most.

    It is raised where, over the last `collapse_window_steps` steps and not in the first
    `collapse_grace_steps`, the median uniformity is above `max_uniformity`, or the median effective
    rank below `min_effective_rank`. Steps that were skipped do not count.

    Args:
        config: the limits.
        batch_size: participants; below 8 the rank of a batch is too small to be judged.
        is_contrast: whether two views of each are compared. The rank of other features is not
            judged: they need not tell people apart, and may use few directions.
    """

    def __init__(self, config: HealthConfig, batch_size: int, is_contrast: bool = True) -> None:
        self._config = config
        self._judges_rank = is_contrast and batch_size >= _MIN_BATCH_FOR_RANK
        self._recent: deque[Record] = deque(maxlen=config.collapse_window_steps)
        self.is_raised = False

    def recall(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take in the log of an interrupted run, so that the alarm is that of one never stopped."""
        for line in lines:
            if line["kind"] == "step":
                self._take_in(record_of(line))
            self.is_raised = self.is_raised or line["kind"] == "alarm"

    def judge(self, record: Record) -> Alarm | None:
        """Take in a step; the alarm if this is the step that raises it."""
        self._take_in(record)
        is_early = record.step <= self._config.collapse_grace_steps
        if self.is_raised or is_early or len(self._recent) < self._config.collapse_window_steps:
            return None
        config = self._config
        alarm = self._passed(record, "uniformity", config.max_uniformity, sign=1)
        if alarm is None and self._judges_rank:
            alarm = self._passed(record, "effective_rank", config.min_effective_rank, sign=-1)
        self.is_raised = alarm is not None
        return alarm

    def _take_in(self, record: Record) -> None:
        if not record.skipped_steps:
            self._recent.append(record)

    def _passed(self, record: Record, figure: str, limit: float, sign: int) -> Alarm | None:
        values = [step.figures[figure] for step in self._recent if figure in step.figures]
        if not values or sign * (median(values) - limit) <= 0:
            return None
        return Alarm(record.epoch, record.step, figure, median(values), limit)
