"""One run from where it stands to its end: build, resume, epochs, checkpoints, weights."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.augment.feed import ViewFeed
from neurofm.config.recipe import Recipe
from neurofm.data.sampler import ParticipantSampler
from neurofm.distributed import (
    any_process,
    barrier,
    gather_objects,
    is_first,
    rank,
    world_size,
)
from neurofm.errors import RunError
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.weights import refuse_other_names, save_weights
from neurofm.objectives.supervised import Supervised
from neurofm.progress import Progress
from neurofm.store.reader import Store
from neurofm.training.card import card_of_run, with_task
from neurofm.training.checkpoints import find_checkpoint, require_room_for_checkpoints
from neurofm.training.course import Course
from neurofm.training.epoch import Surroundings, run_epoch
from neurofm.training.learner import Learner
from neurofm.training.manner import Manner
from neurofm.training.objective import Material, build_objective, views_a_scan
from neurofm.training.onlookers import Health
from neurofm.training.optimisers import build_optimizer
from neurofm.training.population import training_population
from neurofm.training.position import Position
from neurofm.training.precision import apply_numerics, autocast, choose_numerics
from neurofm.training.run_folder import record_weights
from neurofm.training.run_log import RunLog, open_log
from neurofm.training.schedules import learning_rate_at
from neurofm.training.stopping import RunStoppedError, StopRequest
from neurofm.training.tuning import layer_factors
from neurofm.training.validation import Validation
from neurofm.training.watchdog import Watch


@dataclass(frozen=True)
class Pretrained:
    """How a call of `pretrain` went.

    Attributes:
        epochs_before: epochs that earlier calls had finished.
        skipped_steps: steps of the whole run left out, for a number not finite or a bad scan.
        note: what a user should know, such as a damaged checkpoint passed over; may be empty.
        bad_scans: scans of the whole run that could not be used.
    """

    epochs_before: int
    skipped_steps: int
    note: str
    bad_scans: int = 0

    @property
    def notes(self) -> list[str]:
        """A line each for what a user should know."""
        bad = f"{self.bad_scans} scans could not be used (bad_scans.json says why), or "
        cause = f"{bad if self.bad_scans else ''}no finite loss or gradient"
        skipped = f"{self.skipped_steps} steps were skipped: {cause}; log.jsonl names their scans"
        return [line for line in (skipped if self.skipped_steps else "", self.note) if line]


class Run:
    """A run in its folder, resumed where it stopped.

    Args:
        recipe: of the run.
        store: open.
        folder: claimed for this recipe and store.
        device: of this process.
        frame: rows of the store's index that may be seen.
        material: labels and start of a supervised run.

    Raises:
        RunError: there are too few participants, or no checkpoint of the run is whole.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        folder: Path,
        *,
        device: torch.device,
        frame: pd.DataFrame,
        material: Material | None = None,
    ) -> None:
        self._material = material
        self._recipe, self._store, self._folder = recipe, store, folder
        self._device, self._frame = device, frame
        self._sampler = ParticipantSampler(frame, recipe.seed, recipe.views.epoch_of)
        self._steps_an_epoch = len(self._rows(epoch=0))
        self._objective = build_objective(recipe, store.spacing_mm, material).to(device)
        if is_first():
            record_weights(folder, self._objective)
        numerics = choose_numerics(recipe.training, device)
        apply_numerics(self._objective, self._objective.encoder, numerics)
        self._position, self._note = Position(), ""
        self._learner = self._resumed()
        self._epochs_before = self._position.epoch

    def to_the_end(
        self, stop: StopRequest, progress: Progress, watch: Watch, how: Manner
    ) -> Pretrained:
        """Do what is left and save the weights (see `pretrain` for arguments and errors)."""
        training = self._recipe.training
        total = training.epochs * self._steps_an_epoch * training.batch_size
        done = self._position.step * training.batch_size
        what, unit = ("training", "scans") if self._material else ("pre-training", "pairs")
        progress.start(what, total, unit, done=done)
        if is_first():
            state = self._learner.model_state()
            require_room_for_checkpoints(self._folder, state, how.keep)
        first_log = open_log(self._folder, self._position.step) if is_first() else nullcontext()
        try:
            with torch.random.fork_rng(self._gpus()), first_log as log:
                health = self._health(log, how) if log else None
                validation = self._validation(log) if log else None
                course = Course(
                    self._folder,
                    self._learner,
                    self._recipe,
                    position=self._position,
                    log=log,
                    health=health,
                    validation=validation,
                    watch=watch,
                    keep=how.keep,
                )
                course.begin()
                self._run_epochs(course, self._feed(how.threads), stop, progress, watch)
        finally:
            progress.finish()
        self._save_result(validation if is_first() else None, course.position, watch)
        if is_first() and health:
            health.show()
        barrier()
        end = course.position
        return Pretrained(self._epochs_before, end.skipped_steps, self._note, len(end.bad_scans))

    def _health(self, log: RunLog, how: Manner) -> Health:
        seen = (self._recipe, self._store, self._frame, self._device)
        look, is_due = how.onlookers, bool(self._recipe.health.probe_epochs)
        probe = look.make_probe(*seen) if look.make_probe and is_due else None
        draw = look.make_draw(*seen) if look.make_draw and is_due else None
        return Health(self._folder, self._recipe, log, probe, look, how.tell, draw)

    def _validation(self, log: RunLog) -> Validation | None:
        objective = self._objective
        if self._material is None or not isinstance(objective, Supervised):
            return None
        return Validation(
            self._folder,
            objective,
            self._material.task,
            self._store,
            device=self._device,
            config=self._recipe.choosing,
            log=log,
        )

    def _save_result(self, validation: Validation | None, position: Position, watch: Watch) -> None:
        state = self._learner.model_state()
        if validation is not None:
            state = validation.best_state()
        population = training_population(
            self._recipe,
            self._store,
            self._frame,
            state,
            unlearnt=self._material.task.validation if self._material else None,
            device=self._device,
            tell=lambda: watch.at(position.step, "looking at the training embeddings"),
        )
        if is_first():
            card = card_of_run(self._recipe, self._store, self._frame, self._device)
            if validation is not None and self._material is not None:
                card = with_task(card, self._material, validation)
            save_weights(self._folder, {**state, **population}, card)

    def _feed(self, threads: int | None) -> ViewFeed:
        views, seed = self._recipe.views, self._recipe.seed
        second = self._sampler.second_row if views.positive == "second-scan" else None
        feed = ViewFeed(
            self._store,
            views,
            seed,
            self._device,
            num_views=views_a_scan(self._recipe),
            threads=threads,
            second_row=second,
        )
        self._note = self._note or feed.note
        return feed

    def _run_epochs(
        self,
        course: Course,
        feed: ViewFeed,
        stop: StopRequest,
        progress: Progress,
        watch: Watch,
    ) -> None:
        training = self._recipe.training
        names = self._store.index["scan_id"].tolist()
        around = Surroundings(
            self._device,
            self._recipe.seed,
            lambda step: learning_rate_at(step, self._steps_an_epoch, training),
            lambda row: str(names[row]),
            watch,
        )
        if course.ends_early():
            return
        for epoch in range(course.position.epoch, training.epochs):
            rows = self._rows(epoch)[course.position.step_in_epoch :]
            batches = feed.batches(rows, epoch)
            for record in run_epoch(self._learner, batches, course.position.step + 1, around):
                is_last = course.position.step_in_epoch + 1 == self._steps_an_epoch
                course.add(record, is_last)
                progress.advance(training.batch_size, f"loss {record.loss:.3f}")
                if not is_last:
                    self._leave_if_asked(course, stop)
            course.end_epoch()
            if course.ends_early():
                return
            if epoch + 1 < training.epochs:
                self._leave_if_asked(course, stop)

    def _leave_if_asked(self, course: Course, stop: StopRequest) -> None:
        if any_process(stop.is_set(), self._device):
            course.save()
            barrier()
            raise RunStoppedError(course.position.step, stop.exit_status)

    def _resumed(self) -> Learner:
        """The learner as it was when the last checkpoint was saved; a new one without any."""
        found = find_checkpoint(self._folder)
        if found:
            state = dict(found.checkpoint.model)
            refuse_other_names(self._objective, state, self._folder)
            self._objective.load_state_dict(state)
        learner = _learner(self._objective, self._recipe, self._device)
        if found:
            learner.optimizer.load_state_dict(dict(found.checkpoint.optimizer))
            self._position, self._note = found.checkpoint.position, found.note
        steps = [position.step for position in gather_objects(self._position)]
        if len(set(steps)) > 1:
            raise RunError(
                f"the processes found checkpoints of different steps ({steps})",
                "the run folder has to be on a file system that all machines share",
                self._folder,
            )
        return learner

    def _gpus(self) -> list[torch.device]:
        return [self._device] if self._device.type == "cuda" else []

    def _rows(self, epoch: int) -> list[list[int]]:
        batch_size = self._recipe.training.batch_size
        return self._sampler.batches(epoch, batch_size, world_size(), rank())


def _learner(objective: nn.Module, recipe: Recipe, device: torch.device) -> Learner:
    training = recipe.training
    module = objective
    if world_size() > 1:
        module = DistributedDataParallel(synchronise_batch_norm(objective, device))
    factors = {}
    if isinstance(objective, Supervised):
        factors = layer_factors(objective, recipe.tuning.layer_decay)
    optimizer = build_optimizer(module, training, factors)
    numerics = choose_numerics(training, device)
    return Learner(module, optimizer, lambda: autocast(numerics, device), training.accumulate)
