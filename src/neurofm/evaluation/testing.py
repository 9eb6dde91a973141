"""Tasks x models x repeats on the test part: everybody fits, chooses and is tested on the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.learning import EvaluationConfig
from neurofm.evaluation.baselines import Model, baselines
from neurofm.evaluation.contenders import AsTrained
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.paper_probe import paper_probe
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import predict_test_part
from neurofm.evaluation.probing import predictions_table, repeats_of
from neurofm.evaluation.record import TaskRecord
from neurofm.progress import Progress, SilentProgress

Contender = Model | AsTrained


def probe_test_parts(
    frame: pd.DataFrame,
    tasks: Sequence[PartedTask],
    contenders: Callable[[str], Sequence[Contender]],
    progress: Progress | None = None,
    *,
    config: EvaluationConfig | None = None,
    seed: int = 0,
    fraction: float = 1.0,
) -> tuple[pd.DataFrame, tuple[TaskRecord, ...]]:
    """Predictions of the test part of every task by every contender and baseline.

    Args:
        frame: index rows of all parts.
        tasks: their places are in `frame`; at least one has results.
        contenders: the rows of a task's table that read images, features as in `frame`.
        progress: advanced by one for each task, model and repeat.
        config: how often the paper's probe is repeated.
        seed: the recipe's; the paper's probe starts from it, each repeat from the next.
        fraction: share of the training part that probes learn from.
    """
    progress, config = progress or SilentProgress(), config or EvaluationConfig()
    work = [
        (task, model)
        for task in tasks
        if not task.why_not
        for model in [*contenders(task.target.task), *baselines(frame, task.target.task)]
    ]
    tables = []
    repeats = [_repeats(model, config) for _, model in work]
    progress.start("Probing", sum(repeats), "probes")
    for (task, model), count in zip(work, repeats, strict=True):
        for repeat in range(count):
            outcome = outcome_of(frame, task, model, repeat, seed)
            of_test = task.target_of(TEST)
            table = predictions_table(frame, of_test, model.name, repeat, outcome)
            share = model.fractions[repeat] if isinstance(model, AsTrained) else fraction
            tables.append(table.assign(fraction=share))
            progress.advance(note=f"{task.target.task}: {model.name}")
    progress.finish()
    return pd.concat(tables, ignore_index=True), tuple(task_record(task) for task in tasks)


def _repeats(model: Contender, config: EvaluationConfig) -> int:
    """One of each set of features: nothing is drawn, but where the paper's layer begins."""
    if isinstance(model, Model) and model.reader == "paper":
        return repeats_of(model, config)
    return len(model.repeats)


def outcome_of(
    frame: pd.DataFrame, task: PartedTask, model: Contender, repeat: int, seed: int
) -> Outcome:
    """What one repeat of a contender predicts of a task's test part.

    Args:
        frame: index rows that the task's places and the contender's features are of.
        task: target and parts.
        model: read or probed.
        repeat: which.
        seed: the recipe's; with the repeat it decides where the paper's layer begins.
    """
    if isinstance(model, AsTrained):
        return model.outcome(task, repeat)
    if model.reader == "paper":
        return paper_probe(model.features(repeat), frame, task, seed + repeat)
    return predict_test_part(model.features(repeat)[task.target.rows], task, model.reader)


def task_record(task: PartedTask) -> TaskRecord:
    """What a results folder says of a task with parts."""
    test = task.target_of(TEST)
    return TaskRecord(
        task=test.task,
        kind=test.kind,
        classes=test.classes,
        scans=len(test.rows),
        participants=test.num_participants,
        positives=test.positives,
        notes=test.notes + ((task.why_not,) if task.why_not else ()),
        train_participants=task.target_of(TRAIN).num_participants,
        validation_participants=task.target_of(VALIDATION).num_participants,
    )
