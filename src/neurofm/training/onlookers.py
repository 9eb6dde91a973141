"""Those who look at a run from outside: an alarm, a probe, pictures, a page. None touches it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from neurofm.config.objectives import SimCLRConfig
from neurofm.config.recipe import Recipe
from neurofm.files import write_bytes
from neurofm.store.reader import Store
from neurofm.training.health import CollapseAlarm
from neurofm.training.position import Position
from neurofm.training.run_log import Record, RunLog, finite_or_none, read_log


@dataclass(frozen=True)
class ProbeScore:
    """What a linear probe reads from the frozen features: one line of the log for each task.

    Attributes:
        task: the index column, or "site".
        metric: what is measured.
        better: which way is better; for the site, which way it is read more easily.
        value: over all left-out folds.
        low: end of the bootstrap interval over participants.
        high: its other end.
        chance: the same metric for the mean or the class sizes of the training part.
        participants: how many were predicted.
    """

    task: str
    metric: str
    better: Literal["lower", "higher"]
    value: float
    low: float
    high: float
    chance: float
    participants: int


Probe = Callable[[Mapping[str, Tensor]], Sequence[ProbeScore]]
# From recipe, store, the rows of its index that the run sees, and a device; None without labels.
MakeProbe = Callable[[Recipe, Store, pd.DataFrame, torch.device], Probe | None]
# A PNG of what the objective's tensors do with some scans, after so many epochs.
Draw = Callable[[Mapping[str, Tensor], int], bytes]
# From the same; None where there is nothing to draw.
MakeDraw = Callable[[Recipe, Store, pd.DataFrame, torch.device], Draw | None]

PICTURES = "reconstructions"  # folder of a run; epoch-0010.png is after ten epochs


@dataclass(frozen=True)
class Onlookers:
    """What higher floors have to offer to a run.

    Attributes:
        make_probe: the probe of the objective's tensors by name, "encoder.*" among them.
        write_page: writes the page of a run folder.
        make_draw: what draws the picture of the objective's tensors where a probe is due.
    """

    make_probe: MakeProbe | None = None
    write_page: Callable[[Path], object] | None = None
    make_draw: MakeDraw | None = None


NO_ONLOOKERS = Onlookers()


@dataclass(frozen=True)
class ProbeLine:
    """A score with its place in the run; `epochs_done` and `step` are 0 for the untrained one."""

    epochs_done: int
    step: int
    score: ProbeScore
    seconds: float
    kind: Literal["probe"] = "probe"

    def as_json(self) -> dict[str, Any]:
        """Flat; a number that is not finite becomes null."""
        line = {name: value for name, value in vars(self).items() if name != "score"}
        scores = {name: finite_or_none(value) for name, value in vars(self.score).items()}
        return {"kind": self.kind} | line | scores

    def scalars(self) -> Mapping[str, float]:
        """What TensorBoard is given: the value beside its chance level."""
        name = f"probe {self.score.task}"
        return {
            f"{name}/{self.score.metric}": self.score.value,
            f"{name}/chance": self.score.chance,
        }


@dataclass(eq=False)
class Health:
    """Watches one run from its first process; gives nothing back but whether it has collapsed.

    Args:
        folder: the run's.
        recipe: of the run.
        log: where alarm and probe are written.
        probe: None for none.
        onlookers: who writes the page.
        tell: given the alarm, once.
        draw: None for no pictures.
    """

    folder: Path
    recipe: Recipe
    log: RunLog
    probe: Probe | None
    onlookers: Onlookers
    tell: Callable[[str], None] = lambda _: None
    draw: Draw | None = None

    def __post_init__(self) -> None:
        is_contrast = isinstance(self.recipe.objective, SimCLRConfig)
        batch_size = self.recipe.training.batch_size
        self._alarm = CollapseAlarm(self.recipe.health, batch_size, is_contrast)
        self._alarm.recall(read_log(self.folder))

    @property
    def is_collapsed(self) -> bool:
        """Whether the alarm was raised, in this call or in an earlier one."""
        return self._alarm.is_raised

    def after_step(self, record: Record) -> None:
        """Judge a step that was logged."""
        alarm = self._alarm.judge(record)
        if alarm:
            self.log.add(alarm)
            self.tell(f"Warning: {alarm.text}")
            self.show()

    def between_epochs(self, position: Position, state: Mapping[str, Tensor]) -> None:
        """Probe and draw where that is due: to be called before the first epoch and after each."""
        every = self.recipe.health.probe_epochs
        is_last = position.epoch == self.recipe.training.epochs
        if not every or (position.epoch % every and not is_last):
            return
        gpus = [tensor.device for tensor in state.values() if tensor.device.type == "cuda"][:1]
        with torch.random.fork_rng(gpus):
            self._probe(position, state)
            if self.draw is not None:
                picture = self.draw(state, position.epoch)
                write_bytes(self.folder / PICTURES / f"epoch-{position.epoch:04d}.png", picture)

    def _probe(self, position: Position, state: Mapping[str, Tensor]) -> None:
        if self.probe is None:
            return
        began = time.perf_counter()
        scores = self.probe(state)
        seconds = time.perf_counter() - began
        for score in scores:
            self.log.add(ProbeLine(position.epoch, position.step, score, seconds))

    def show(self) -> None:
        """Write the run's page anew."""
        if self.onlookers.write_page is not None:
            self.onlookers.write_page(self.folder)
