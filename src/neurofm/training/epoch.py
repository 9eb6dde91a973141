"""One epoch of the loop: every batch once, logged, with the two ways it may end early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch

from neurofm.data.batch import Batch
from neurofm.distributed import any_process, world_size
from neurofm.errors import RunError
from neurofm.training.learner import Learner, Outcome
from neurofm.training.run_log import Record
from neurofm.training.stopping import RunStoppedError

_MAX_SKIPPED_IN_A_ROW = 3
_SHOWN_SCANS = 12


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What an epoch needs besides batches and learner.

    Attributes:
        device: where the learner is.
        stop: set when the run is to end after the step.
        scan_name: the name of a row of the store, for messages.
    """

    device: torch.device
    stop: threading.Event
    scan_name: Callable[[int], str]


def run_epoch(
    learner: Learner, batches: Iterable[Batch], first_step: int, around: Surroundings
) -> Iterator[Record]:
    """Learn from every batch and yield its record.

    Args:
        learner: changed by every step.
        batches: of one epoch.
        first_step: number of the first step, from 1 over the whole run.
        around: device, stop request, names.

    Raises:
        RunStoppedError: a stop was requested; the step under way is finished.
        RunError: three steps in a row gave no finite loss; names the scans.
    """
    skipped_in_a_row = 0
    step_began = time.perf_counter()
    for step, batch in enumerate(batches, start=first_step):
        waited = time.perf_counter() - step_began
        outcome = learner.learn_from(batch.to(around.device))
        seconds = time.perf_counter() - step_began
        step_began += seconds
        yield _record(step, batch, outcome, learner.learning_rate, seconds=seconds, waited=waited)
        skipped_in_a_row = skipped_in_a_row + 1 if outcome.is_skipped else 0
        if skipped_in_a_row >= _MAX_SKIPPED_IN_A_ROW:
            raise _not_finite(batch, around)
        if any_process(around.stop.is_set(), around.device):
            raise RunStoppedError(
                f"stopped on request after step {step}",
                "the same command continues from the last finished epoch",
            )


def _record(
    step: int,
    batch: Batch,
    outcome: Outcome,
    learning_rate: float,
    *,
    seconds: float,
    waited: float,
) -> Record:
    return Record(
        kind="step",
        epoch=batch.epoch,
        step=step,
        loss=outcome.loss,
        parts=outcome.parts,
        figures=outcome.figures,
        gradient_norm=outcome.gradient_norm,
        learning_rate=learning_rate,
        pairs_per_second=len(batch) * world_size() / seconds,
        data_wait_share=waited / seconds,
        seconds=seconds,
        skipped_steps=int(outcome.is_skipped),
    )


def _not_finite(batch: Batch, around: Surroundings) -> RunError:
    names = [around.scan_name(row) for row in batch.rows]
    shown = ", ".join(names[:_SHOWN_SCANS]) + (", ..." if len(names) > _SHOWN_SCANS else "")
    return RunError(
        f"{_MAX_SKIPPED_IN_A_ROW} steps in a row gave no finite loss or gradient; the last saw "
        f"{shown}",
        "look at these scans or lower the learning rate; the last checkpoint is sound",
        "training",
    )
