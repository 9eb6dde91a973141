"""The paper's linear probe on cached features: one layer, Adam, the best of 100 epochs.

It takes the very steps of `neurofm train linear-probe`: the same layer as initialised, scans in the
same order, the same loss and choice of the epoch. Without augmentation a frozen encoder says the
same of a scan in every epoch, so the scans are encoded once. Source: section 4.2 of the paper.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch.nn import functional

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.config.learning import TrainingConfig
from neurofm.config.tuning import ChoosingConfig
from neurofm.data.sampler import ParticipantSampler
from neurofm.evaluation.bias_line import fit_bias_line
from neurofm.evaluation.folds import participant_weights
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.operating_point import choose_threshold
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import decide
from neurofm.models.head import HeadCard, Kind, build_head, predictions
from neurofm.training.task import Task
from neurofm.training.validation_metrics import Choice, choose_metric

PAPER_TRAINING = TrainingConfig(epochs=100, batch_size=6, learning_rate=1e-4)
_EPSILON = 1e-8  # of Adam, as torch has it

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
        training: epochs, batch, rate and betas; the paper's by default. Adam with a constant rate.
    """
    known = dict(zip(task.target.rows.tolist(), task.target.values.tolist(), strict=True))
    parts = {role: frame.iloc[task.target_of(role).rows] for role in (TRAIN, VALIDATION, TEST)}
    head = HeadCard(target=task.target.task, kind=task.target.kind, classes=task.target.classes)
    whole = Task(
        head, known, (1.0,) * len(head.classes), parts[TRAIN], parts[VALIDATION], parts[TEST], ()
    )
    read = torch.from_numpy(np.asarray(features, dtype=np.float32))
    # The intercept is the weight of a feature that is 1 for everybody.
    read = torch.cat([read, torch.ones(len(read), 1)], dim=1)
    layer = build_head(features.shape[1], head.outputs, seed)
    start = torch.cat([layer.weight.detach(), layer.bias.detach()[:, None]], dim=1)
    with torch.inference_mode():
        best = _train(start, read, whole, seed, training)
        said = predictions(read @ best.T, head).numpy().astype(np.float64)
    return _outcome(said, task)


Layer = Float[torch.Tensor, "outputs features"]


def _train(
    start: Layer, features: torch.Tensor, task: Task, seed: int, training: TrainingConfig
) -> Layer:
    """The layer as it was after the best epoch."""
    sampler = ParticipantSampler(task.train, seed)
    size = min(training.batch_size, len(sampler))
    truth, choice = _truth(task, len(features)), _choice(task)
    adam, best, value = _Adam(start, training), start, math.nan
    for epoch in range(training.epochs):
        for rows in sampler.batches(epoch, size):
            scans = features[rows]
            wrong = _slope(scans @ adam.layer.T, truth[rows], task.head.kind) / size
            adam.step(wrong.T @ scans)
        now = _validate(adam.layer, features, truth, task, choice)
        if not epoch or choice.is_better(now, value):
            best, value = adam.layer.clone(), now
    return best


class _Adam:
    """Adam with a constant rate and without decay, as in torch: Kingma and Ba 2015, algorithm 1.

    torch's own spends more time on finding its parameters than on changing so few of them.
    """

    def __init__(self, start: Layer, training: TrainingConfig) -> None:
        self.layer = start.clone()
        self._mean, self._square = torch.zeros_like(start), torch.zeros_like(start)
        self._rate, (self._first, self._second) = training.learning_rate, training.betas
        self._steps = 0

    def step(self, gradient: Layer) -> None:
        """Change the layer by one step."""
        self._steps += 1
        self._mean.lerp_(gradient, 1 - self._first)
        self._square.mul_(self._second).addcmul_(gradient, gradient, value=1 - self._second)
        spread = self._square.sqrt() / math.sqrt(1 - self._second**self._steps)
        rate = self._rate / (1 - self._first**self._steps)
        self.layer.addcdiv_(self._mean, spread.add_(_EPSILON), value=-rate)


def _truth(task: Task, count: int) -> Float[torch.Tensor, "scans outputs"]:
    """What the layer should say of each row of the frame; NaN where it is not of the task."""
    rows, values = list(task.values), torch.tensor(list(task.values.values()))
    wanted = values[:, None]
    if task.head.kind == "multiclass":
        wanted = functional.one_hot(values.long(), task.head.outputs)
    truth = torch.full((count, task.head.outputs), torch.nan)
    truth[rows] = wanted.to(truth.dtype)
    return truth


def _slope(outputs: torch.Tensor, truth: torch.Tensor, kind: Kind) -> torch.Tensor:
    """The derivative of each scan's loss (see `Supervised.losses`) by its outputs."""
    if kind == "regression":
        return 2 * (outputs - truth)
    said = outputs.sigmoid() if kind == "binary" else outputs.softmax(dim=1)
    return said - truth


def _choice(task: Task) -> Choice:
    found = {task.values[int(row)] for row in task.validation.index}
    has_auc = task.head.kind == "regression" or len(found) > 1
    return choose_metric(task, ChoosingConfig(validation_metric="auto" if has_auc else "loss"))


def _validate(
    layer: Layer, features: torch.Tensor, truth: torch.Tensor, task: Task, choice: Choice
) -> float:
    rows = task.validation.index.tolist()
    outputs = features[rows] @ layer.T
    if choice.metric == "loss":
        if task.head.kind == "multiclass":
            return float(functional.cross_entropy(outputs, truth[rows]))
        return float(functional.binary_cross_entropy_with_logits(outputs, truth[rows]))
    known = np.array([task.values[row] for row in rows])
    return choice.compute(known, predictions(outputs, task.head).numpy())


def _outcome(everything: Said, task: PartedTask) -> Outcome:
    test = task.target_of(TEST)
    said = everything[test.rows]
    folds = np.zeros(len(test.rows), np.int64)
    train, validation = task.target_of(TRAIN), task.target_of(VALIDATION)
    if not test.classes:
        bias = fit_bias_line(
            everything[validation.rows, 0], validation.values,
            participant_weights(validation.participants),
        )  # fmt: skip
        corrected = bias.taken_from(said[:, 0], test.values)
        return Outcome(test.values, said[:, 0], np.zeros((len(said), 0)), folds, None, corrected)
    weights = participant_weights(train.participants)
    shares = np.bincount(train.values.astype(int), weights, len(test.classes)) / weights.sum()
    threshold = float("nan")
    if len(test.classes) == 2:
        score = everything[validation.rows, 1]
        threshold = choose_threshold(
            validation.values == 1, score, participant_weights(validation.participants)
        )
    return Outcome(test.values, decide(said, shares), said, folds, np.full(len(said), threshold))
