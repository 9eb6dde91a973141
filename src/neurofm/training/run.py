"""One run from where it stands to its end: build, resume, epochs, checkpoints, weights."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from neurofm.config.recipe import Recipe
from neurofm.data.loader import ScanLoader
from neurofm.data.sampler import ParticipantSampler
from neurofm.distributed import barrier, is_first, rank, world_size
from neurofm.models.batch_norm import synchronise_batch_norm
from neurofm.models.encoder import build_encoder
from neurofm.models.projector import build_projector
from neurofm.models.weights import save_weights
from neurofm.objectives.simclr import SimCLR
from neurofm.progress import Progress
from neurofm.store.reader import Store
from neurofm.training.card import card_of_run
from neurofm.training.checkpoints import Checkpoint, find_checkpoint, save_checkpoint
from neurofm.training.epoch import Surroundings, run_epoch
from neurofm.training.learner import Learner
from neurofm.training.precision import apply_numerics, autocast, choose_numerics
from neurofm.training.run_log import Record, RunLog, epoch_record, open_log


@dataclass(frozen=True)
class Pretrained:
    """How a call of `pretrain` went.

    Attributes:
        epochs_before: epochs that earlier calls had finished.
        skipped_steps: steps of the whole run left out because a number was not finite.
        note: what a user should know, such as a damaged checkpoint passed over; may be empty.
    """

    epochs_before: int
    skipped_steps: int
    note: str


class Run:
    """A run in its folder, resumed where it stopped.

    Args:
        recipe: of the run.
        store: open.
        folder: claimed for this recipe and store.
        device: of this process.
        frame: rows of the store's index that may be seen.

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
    ) -> None:
        self._recipe, self._store, self._folder = recipe, store, folder
        self._device, self._frame = device, frame
        self._sampler = ParticipantSampler(frame, recipe.seed)
        self._steps_an_epoch = len(self._rows(epoch=0))
        self._objective = build_objective(recipe, store.spacing_mm).to(device)
        numerics = choose_numerics(recipe.training, device)
        apply_numerics(self._objective, self._objective.encoder, numerics)
        found = find_checkpoint(folder)
        if found:
            self._objective.load_state_dict(dict(found.checkpoint.model))
        self._learner = _learner(self._objective, recipe, device)
        if found:
            self._learner.optimizer.load_state_dict(dict(found.checkpoint.optimizer))
        self._epochs_before = found.checkpoint.epoch if found else 0
        self._step = found.checkpoint.step if found else 0
        self._skipped_steps = found.checkpoint.skipped_steps if found else 0
        self._note = found.note if found else ""

    def to_the_end(self, stop: threading.Event, progress: Progress) -> Pretrained:
        """Run the epochs that are left and save the weights (see `pretrain` for what it raises)."""
        training = self._recipe.training
        total = training.epochs * self._steps_an_epoch * training.batch_size
        progress.start("pre-training", total, "pairs", done=self._step * training.batch_size)
        loader = ScanLoader(self._store)
        names = self._store.index["scan_id"].tolist()
        around = Surroundings(self._device, stop, lambda row: str(names[row]))
        try:
            with open_log(self._folder, self._step) if is_first() else nullcontext() as log:
                for epoch in range(self._epochs_before, training.epochs):
                    self._run_epoch(epoch, loader, around, progress, log)
        finally:
            progress.finish()
        if is_first():
            card = card_of_run(self._recipe, self._store, self._frame, self._device)
            save_weights(self._folder, self._objective.state_dict(), card)
        barrier()
        return Pretrained(self._epochs_before, self._skipped_steps, self._note)

    def _run_epoch(
        self,
        epoch: int,
        loader: ScanLoader,
        around: Surroundings,
        progress: Progress,
        log: RunLog | None,
    ) -> None:
        steps: list[Record] = []
        batches = loader.batches(self._rows(epoch), epoch)
        for record in run_epoch(self._learner, batches, self._step + 1, around):
            steps.append(record)
            if log:
                log.add(record)
            progress.advance(self._recipe.training.batch_size, f"loss {record.loss:.3f}")
        self._step = steps[-1].step
        self._skipped_steps += sum(step.skipped_steps for step in steps)
        if log:
            log.add(epoch_record(steps))
            log.secure()
            save_checkpoint(self._folder, self._checkpoint(epoch + 1))
        barrier()

    def _rows(self, epoch: int) -> list[list[int]]:
        batch_size = self._recipe.training.batch_size
        return self._sampler.batches(epoch, batch_size, world_size(), rank())

    def _checkpoint(self, epoch: int) -> Checkpoint:
        return Checkpoint(
            epoch=epoch,
            step=self._step,
            skipped_steps=self._skipped_steps,
            model=self._objective.state_dict(),
            optimizer=self._learner.optimizer.state_dict(),
        )


def build_objective(recipe: Recipe, spacing_mm: float) -> SimCLR:
    """The recipe's objective with a freshly initialised encoder, in training mode."""
    config = recipe.objective
    encoder = build_encoder(recipe.encoder, recipe.seed)
    projector = build_projector(recipe.encoder.widths[-1], config.projection_size, recipe.seed)
    return SimCLR(
        encoder, projector, config, views=recipe.views, seed=recipe.seed, spacing_mm=spacing_mm
    )


def _learner(objective: nn.Module, recipe: Recipe, device: torch.device) -> Learner:
    training = recipe.training
    module = objective
    if world_size() > 1:
        module = DistributedDataParallel(synchronise_batch_norm(objective, device))
    optimizer = torch.optim.Adam(
        module.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    numerics = choose_numerics(training, device)
    return Learner(module, optimizer, lambda: autocast(numerics, device))
