"""The steps of an epoch that are left: each batch learnt from once, in its order, and recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch

from neurofm.data.batch import Batch
from neurofm.distributed import gather_objects, rank, world_size
from neurofm.seeds import seed_of
from neurofm.training.learner import Learner
from neurofm.training.run_log import Record
from neurofm.training.watchdog import WAITING_FOR_SCANS, SilentWatch, Watch

_SILENT = SilentWatch()


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What an epoch needs besides batches and learner.

    Attributes:
        device: where the learner is.
        seed: the recipe's.
        learning_rate: of a step, counted from 1 over the whole run.
        scan_name: the name of a row of the store, for messages.
        watch: told what this process is doing.
    """

    device: torch.device
    seed: int
    learning_rate: Callable[[int], float]
    scan_name: Callable[[int], str]
    watch: Watch = _SILENT


def run_epoch(
    learner: Learner, batches: Iterable[Batch], first_step: int, around: Surroundings
) -> Iterator[Record]:
    """Learn from every batch and yield its record.

    torch's random generators start each step from a seed of their own, a function of the recipe's
    seed, the step and the process: what draws from them (dropout) goes on alike in a resumed run.

    Args:
        learner: changed by every step.
        batches: what is left of one epoch.
        first_step: number of the first step, from 1 over the whole run.
        around: device, seed, learning rate, names.
    """
    remaining = iter(batches)
    step = first_step
    while True:
        began = time.perf_counter()
        around.watch.at(step, WAITING_FOR_SCANS)
        batch = next(remaining, None)
        if batch is None:
            return
        waited = time.perf_counter() - began
        around.watch.at(step, "learning")
        torch.manual_seed(seed_of("step", around.seed, step, rank()))
        learner.learning_rate = around.learning_rate(step)
        outcome = learner.learn_from(replace(batch.to(around.device), step=step))
        names, reasons = _why_skipped(batch, around) if outcome.is_skipped else ((), {})
        seconds = time.perf_counter() - began
        yield Record(
            kind="step",
            epoch=batch.epoch,
            step=step,
            loss=outcome.loss,
            parts=outcome.parts,
            figures=outcome.figures,
            gradient_norm=outcome.gradient_norm,
            learning_rate=learner.learning_rate,
            pairs_per_second=len(batch) * world_size() / seconds,
            data_wait_share=waited / seconds,
            seconds=seconds,
            skipped_steps=int(outcome.is_skipped),
            skipped_scans=names,
            bad_scans=reasons,
        )
        step += 1


def _why_skipped(batch: Batch, around: Surroundings) -> tuple[tuple[str, ...], dict[str, str]]:
    """The names of a step's scans on all processes, or its bad scans with the reasons."""
    bad = {around.scan_name(scan.row): scan.reason for scan in batch.bad_scans}
    told = gather_objects(([around.scan_name(row) for row in batch.rows], bad))
    reasons = {name: reason for _, each in told for name, reason in each.items()}
    return tuple(reasons) or tuple(name for names, _ in told for name in names), reasons
