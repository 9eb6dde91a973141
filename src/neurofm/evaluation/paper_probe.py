"""The paper's linear probe on cached features: one layer, Adam, the best of 100 epochs.

It takes the very steps of `neurofm train linear-probe`: the same layer as initialised, scans in the
same order, the same loss and choice of the epoch. Without augmentation a frozen encoder says the
same of a scan in every epoch, so the scans are encoded once. Source: section 4.2 of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.learning import TrainingConfig, ViewsConfig
from neurofm.config.tuning import ChoosingConfig
from neurofm.data.sampler import ParticipantSampler
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.operating_point import choose_threshold
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import decide
from neurofm.models.head import HeadCard, build_head, predictions
from neurofm.objectives.supervised import Supervised
from neurofm.training.optimisers import build_optimizer
from neurofm.training.schedules import learning_rate_at
from neurofm.training.task import Task
from neurofm.training.validation_metrics import Choice, choose_metric

PAPER_TRAINING = TrainingConfig(epochs=100, batch_size=6, learning_rate=1e-4)

Features = Float[np.ndarray, "scans features"]
Said = Float[np.ndarray, "scans values"]


def paper_probe(
    features: Features,
    frame: pd.DataFrame,
    task: PartedTask,
    seed: int,
    training: TrainingConfig = PAPER_TRAINING,
) -> Outcome:
    """What the layer of the best epoch says of the test part.

    The epoch is chosen by AUC or squared error on validation, by the loss where validation has
    one class only. A training part of fewer participants than a batch is one batch.

    Args:
        features: a row for each row of `frame`, by a frozen encoder in evaluation mode.
        frame: index rows; the task's places are in it.
        task: target and parts.
        seed: of the layer and the order of the scans.
        training: steps and rates; the paper's by default.
    """
    known = dict(zip(task.target.rows.tolist(), task.target.values.tolist(), strict=True))
    parts = {role: frame.iloc[task.target_of(role).rows] for role in (TRAIN, VALIDATION, TEST)}
    head = HeadCard(target=task.target.task, kind=task.target.kind, classes=task.target.classes)
    whole = Task(
        head, known, (1.0,) * len(head.classes), parts[TRAIN], parts[VALIDATION], parts[TEST], ()
    )
    read = torch.from_numpy(np.asarray(features, dtype=np.float32))
    layer = Supervised(
        nn.Identity(),
        build_head(read.shape[1], head.outputs, seed),
        head,
        values=known,
        class_weights=whole.weights,
        views=ViewsConfig(),
        seed=seed,
        spacing_mm=1.0,
    )
    with torch.random.fork_rng([]):
        _train(layer, read, whole, seed, training)
    with torch.inference_mode():
        said = predictions(layer.head(read), head).numpy().astype(np.float64)
    return _outcome(said, task)


@dataclass(eq=False)
class _Best:
    """The best epoch so far."""

    value: float
    state: dict[str, torch.Tensor]


def _train(
    layer: Supervised, features: torch.Tensor, task: Task, seed: int, training: TrainingConfig
) -> None:
    """All epochs; the layer then is as it was after the best one."""
    sampler = ParticipantSampler(task.train, seed)
    size = min(training.batch_size, len(sampler))
    steps_an_epoch = len(sampler) // size
    values = _values(task, len(features))
    optimizer, choice = build_optimizer(layer, training), _choice(task)
    best: _Best | None = None
    step = 0
    for epoch in range(training.epochs):
        for rows in sampler.batches(epoch, size):
            step += 1
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(step, steps_an_epoch, training)
            optimizer.zero_grad(set_to_none=True)
            layer.losses(layer.head(features[rows]), values[rows]).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        value = _validate(layer, features, values, task, choice)
        if best is None or choice.is_better(value, best.value):
            state = {name: each.clone() for name, each in layer.state_dict().items()}
            best = _Best(value, state)
    assert best is not None
    layer.load_state_dict(best.state)


def _values(task: Task, count: int) -> torch.Tensor:
    """Number or class of each row of the frame; NaN where it is not of the task."""
    values = torch.full((count,), torch.nan)
    for row, value in task.values.items():
        values[row] = value
    return values


def _choice(task: Task) -> Choice:
    found = {task.values[int(row)] for row in task.validation.index}
    has_auc = task.head.kind == "regression" or len(found) > 1
    return choose_metric(task, ChoosingConfig(validation_metric="auto" if has_auc else "loss"))


def _validate(
    layer: Supervised,
    features: torch.Tensor,
    values: torch.Tensor,
    task: Task,
    choice: Choice,
) -> float:
    rows = task.validation.index.tolist()
    with torch.inference_mode():
        outputs = layer.head(features[rows])
        if choice.metric == "loss":
            return float(layer.losses(outputs, values[rows]).mean())
        said = predictions(outputs, task.head).numpy()
    return choice.compute(np.array([task.values[row] for row in rows]), said)


def _outcome(everything: Said, task: PartedTask) -> Outcome:
    test = task.target_of(TEST)
    said = everything[test.rows]
    folds = np.zeros(len(test.rows), np.int64)
    if not test.classes:
        return Outcome(test.values, said[:, 0], np.zeros((len(said), 0)), folds)
    train, validation = task.target_of(TRAIN), task.target_of(VALIDATION)
    weights = participant_weights(train.participants)
    shares = np.bincount(train.values.astype(int), weights, len(test.classes)) / weights.sum()
    threshold = float("nan")
    if len(test.classes) == 2:
        score = everything[validation.rows, 1]
        threshold = choose_threshold(
            validation.values == 1, score, participant_weights(validation.participants)
        )
    return Outcome(test.values, decide(said, shares), said, folds, np.full(len(said), threshold))
