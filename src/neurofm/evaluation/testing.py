"""Tasks x models x repeats on the test part: everybody fits, chooses and is tested on the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.evaluation.baselines import Model, baselines
from neurofm.evaluation.contenders import AsTrained
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import predict_test_part
from neurofm.evaluation.probing import predictions_table
from neurofm.evaluation.record import TaskRecord
from neurofm.progress import Progress, SilentProgress

Contender = Model | AsTrained


def probe_test_parts(
    frame: pd.DataFrame,
    tasks: Sequence[PartedTask],
    contenders: Callable[[str], Sequence[Contender]],
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, tuple[TaskRecord, ...]]:
    """Predictions of the test part of every task by every contender and baseline.

    Args:
        frame: index rows of all parts.
        tasks: their places are in `frame`; at least one has results.
        contenders: the rows of a task's table that read images, features as in `frame`.
        progress: advanced by one for each task, model and repeat.
    """
    progress = progress or SilentProgress()
    work = [
        (task, model)
        for task in tasks
        if not task.why_not
        for model in [*contenders(task.target.task), *baselines(frame, task.target.task)]
    ]
    tables = []
    progress.start("Probing", sum(len(model.repeats) for _, model in work), "probes")
    for task, model in work:
        for repeat in range(len(model.repeats)):
            outcome = outcome_of(task, model, repeat)
            of_test = task.target_of(TEST)
            tables.append(predictions_table(frame, of_test, model.name, repeat, outcome))
            progress.advance(note=f"{task.target.task}: {model.name}")
    progress.finish()
    return pd.concat(tables, ignore_index=True), tuple(task_record(task) for task in tasks)


def outcome_of(task: PartedTask, model: Contender, repeat: int) -> Outcome:
    """What one repeat of a contender predicts of a task's test part.

    Args:
        task: its places are in the frame that the contender's features are of.
        model: read or probed.
        repeat: which.
    """
    if isinstance(model, AsTrained):
        return model.outcome(task, repeat)
    return predict_test_part(model.features(repeat)[task.target.rows], task)


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
