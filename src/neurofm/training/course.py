"""How far a run has come, and what it leaves on the way: log lines and checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from neurofm.config.recipe import Recipe
from neurofm.distributed import any_process, barrier
from neurofm.errors import RunError
from neurofm.files import write_json
from neurofm.training.checkpoints import Checkpoint, save_checkpoint
from neurofm.training.learner import Learner
from neurofm.training.onlookers import Health
from neurofm.training.position import Position
from neurofm.training.run_log import Record, RunLog, epoch_record, read_log, record_of
from neurofm.training.validation import Validation
from neurofm.training.watchdog import Watch

NOT_FINITE_FILE, BAD_SCANS_FILE = "not_finite.json", "bad_scans.json"
_SHOWN_SCANS = 12


class Course:
    """The position of a run and its files; every process keeps one, the first writes.

    Args:
        folder: the run's.
        learner: whose state the checkpoints hold.
        recipe: how often a checkpoint is due, how many steps and scans may fail, what ends the run.
        position: where the run goes on.
        log: open in the first process, None in the others.
        health: of the run, in the process of the log.
        validation: of a supervised run, in the process of the log.
        watch: told of each saving.
        keep: checkpoints that stay.
    """

    def __init__(
        self,
        folder: Path,
        learner: Learner,
        recipe: Recipe,
        *,
        position: Position,
        log: RunLog | None,
        health: Health | None,
        validation: Validation | None = None,
        watch: Watch,
        keep: int,
    ) -> None:
        self.position = position
        self._folder, self._learner, self._config = folder, learner, recipe.training
        self._health, self._stops_on_collapse = health, recipe.health.stop_on_collapse
        self._validation = validation
        self._log, self._watch, self._keep = log, watch, keep
        self._saved = self._sound = position
        logged = _steps_up_to(folder, position.step) if log else []
        self._steps = logged[len(logged) - position.step_in_epoch :]
        self._skipped = logged[len(logged) - position.skipped_in_a_row :]
        self._with_bad_scans = [step for step in logged if step.bad_scans]
        if log and (self._with_bad_scans or (folder / BAD_SCANS_FILE).exists()):
            self._list_bad_scans()

    def begin(self) -> None:
        """Look at the run before it goes on.

        Raises:
            RunError: its features have collapsed, and that is to end it.
        """
        self._stop_if_collapsed()
        self._watch.at(self.position.step, "looking at the features")
        if self._health:
            if not self.position.step:
                self._health.between_epochs(self.position, self._learner.plain_state())
            self._health.show()

    def add(self, record: Record, is_last_of_epoch: bool) -> None:
        """Note a finished step, and save a checkpoint where one is due.

        Raises:
            RunError: too many steps in a row gave no finite loss or gradient; the checkpoint is of
                the step before them, and `not_finite.json` lists their scans. Or too many scans
                could not be used, which `bad_scans.json` lists; the checkpoint is of the step
                before. Or the features have collapsed, and that is to end the run.
        """
        is_skipped, before = bool(record.skipped_steps), self.position
        self.position = before.after_step(is_skipped, record.bad_scans)
        self._steps.append(record)
        if self._log:
            self._log.add(record)
        if self._health:
            self._health.after_step(record)
        if record.bad_scans:
            self._without(record, before)
        self._skipped = [*self._skipped, record] if is_skipped else []
        if not is_skipped:
            self._sound = self.position
        elif self.position.skipped_in_a_row >= self._config.max_skipped_in_a_row:
            self._give_up()
        if not is_last_of_epoch:
            self._stop_if_collapsed()
        if record.step % self._config.checkpoint_steps == 0 and not is_last_of_epoch:
            self.save()

    def end_epoch(self) -> None:
        """Log the epoch's means; probe, validate and save where that is due.

        Raises:
            RunError: the features have collapsed, and that is to end the run.
        """
        if self._log:
            self._log.add(epoch_record(self._steps))
        self._steps = []
        self.position = self.position.after_epoch()
        self._watch.at(self.position.step, "looking at the features")
        if self._health:
            self._health.between_epochs(self.position, self._learner.plain_state())
        if self._validation:
            self._validation.after_epoch(self.position)
        if self._is_to_be_saved():
            self.save()
            if self._validation:
                self._validation.settle()
        if self._health:
            self._health.show()
        self._stop_if_collapsed()

    def ends_early(self) -> bool:
        """Whether a supervised run ends early; the same on every process."""
        return any_process(self._gets_no_better(), self._learner.device)

    def save(self) -> None:
        """Save a checkpoint of the position, unless the last one is of the same."""
        if self.position != self._saved:
            self._save(self.position)

    def _is_to_be_saved(self) -> bool:
        done = self.position.epoch
        is_last = done == self._config.epochs or self._gets_no_better()
        return is_last or done % self._config.checkpoint_epochs == 0

    def _gets_no_better(self) -> bool:
        return self._validation is not None and self._validation.is_over

    def _stop_if_collapsed(self) -> None:
        has_collapsed = self._health is not None and self._health.is_collapsed
        if self._stops_on_collapse and any_process(has_collapsed, self._learner.device):
            self.save()
            barrier()
            raise RunError(
                f"the features have collapsed; saved as it was after step {self.position.step}",
                "see run.html; lower the learning rate in another -o, or go on with "
                "health.stop_on_collapse=false",
                self._folder,
            )

    def _save(self, position: Position) -> None:
        self._watch.at(position.step, "saving a checkpoint")
        if self._log:
            self._log.secure()
            save_checkpoint(self._folder, self._checkpoint(position), self._keep)
        self._saved = position

    def _checkpoint(self, position: Position) -> Checkpoint:
        learner = self._learner
        return Checkpoint(position, learner.model_state(), learner.optimizer.state_dict())

    def _without(self, record: Record, before: Position) -> None:
        """Note the scans that a step had to do without; too many end the run before it."""
        self._with_bad_scans.append(record)
        if self._log:
            self._list_bad_scans()
        names, limit = self.position.bad_scans, self._config.max_bad_scans
        if len(names) <= limit:
            return
        self._save(before)
        barrier()
        raise RunError(
            f"{len(names)} scans could not be used, and training.max_bad_scans is {limit}: "
            f"{_shown(names)} (why: {BAD_SCANS_FILE}); saved as it was after step {before.step}",
            "neurofm pack --verify finds what is damaged; the same command goes on, also with a "
            "higher limit",
            self._folder,
        )

    def _list_bad_scans(self) -> None:
        listed: dict[str, dict[str, object]] = {}
        for step in self._with_bad_scans:
            for name, reason in step.bad_scans.items():
                first = {"scan": name, "reason": reason, "epoch": step.epoch, "step": step.step}
                listed.setdefault(name, first)
        write_json(self._folder / BAD_SCANS_FILE, list(listed.values()))

    def _give_up(self) -> None:
        limit = self._config.max_skipped_in_a_row
        if self._log:
            write_json(self._folder / NOT_FINITE_FILE, [_as_json(step) for step in self._skipped])
        self._save(self._sound)
        barrier()
        names = [name for step in reversed(self._skipped) for name in step.skipped_scans]
        raise RunError(
            f"{limit} steps in a row gave no finite loss or gradient; the last saw {_shown(names)} "
            f"(all of them: {NOT_FINITE_FILE}); saved as it was after step {self._sound.step}",
            "look at these scans, or lower the learning rate in another -o",
            "training",
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN_SCANS]) + (", ..." if len(names) > _SHOWN_SCANS else "")


def _steps_up_to(folder: Path, step: int) -> list[Record]:
    """The steps that earlier calls have logged."""
    lines = [line for line in read_log(folder) if line["kind"] == "step"]
    return [record_of(line) for line in lines if line["step"] <= step]


def _as_json(record: Record) -> dict[str, object]:
    return {
        "epoch": record.epoch,
        "step": record.step,
        "loss": str(record.loss),
        "gradient_norm": str(record.gradient_norm),
        "finite_parts": sorted(name for name, part in record.parts.items() if math.isfinite(part)),
        "scans": list(record.skipped_scans),
    }
