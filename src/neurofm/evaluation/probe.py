"""The linear probe: cross-validated by participant, or fitted once and tried on a test part.

Nothing of a test fold touches the model that predicts it: standardisation, the choice of the
penalty (again by folds of participants) and the fit all see the training part only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.data.targets import Target, task_strata
from neurofm.evaluation.folds import (
    held_in,
    participant_folds,
    participant_weights,
)
from neurofm.evaluation.linear import Rows, Sample, fit_scaling, logistic_path, ridge_path
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.parts import PartedTask
from neurofm.seeds import random_stream

# Per scan, see linear.py; standardised features have a mean variance of 1.
PENALTIES = tuple(10.0**power for power in range(-3, 4))
_INNER_FOLDS = 3


@dataclass(frozen=True, eq=False)
class _Part:
    """The scans of one task, or of a training part of it."""

    features: Rows
    values: Float[np.ndarray, " scans"]
    participants: Int[np.ndarray, " scans"]
    strata: Int[np.ndarray, " scans"]
    num_classes: int  # 0 for regression

    def take(self, chosen: np.ndarray) -> _Part:
        people = np.unique(self.participants[chosen], return_inverse=True)[1]
        return _Part(
            self.features[chosen], self.values[chosen], people, self.strata[chosen],
            self.num_classes,
        )  # fmt: skip


def cross_validate(features: Rows, target: Target, folds: int, seed: int, repeat: int) -> Outcome:
    """Predict every scan by a probe that never saw its participant.

    Args:
        features: a row for each scan of `target.rows`; no columns gives the mean or the class
            sizes of the training part; NaN counts as unknown.
        target: the task.
        folds: how many; the penalty is chosen by three more inside each training part.
        seed: the recipe's seed.
        repeat: which repeat; with `seed` it decides the folds, the same for every model.
    """
    whole = _whole(features, target)
    fold_of = participant_folds(
        whole.participants, whole.strata, folds, random_stream("folds", seed, repeat)
    )
    probabilities = np.zeros((len(target.rows), whole.num_classes))
    prediction = np.zeros(len(target.rows))
    for fold in range(folds):
        inside = held_in(fold_of, fold)
        stream = random_stream("inner folds", seed, repeat, fold)
        train, test = whole.take(inside), whole.features[~inside]
        predicted = _fit_predict(train, test, _choose_penalty(train, stream))
        if whole.num_classes:
            probabilities[~inside] = predicted
            prediction[~inside] = decide(predicted, _class_shares(train))
        else:
            prediction[~inside] = predicted
    return Outcome(target.values, prediction, probabilities, fold_of)


def predict_test_part(features: Rows, task: PartedTask) -> Outcome:
    """Predict the test part by a probe of the training part, as strong as suits validation best.

    The validation part only chooses the penalty, as it only chooses the epoch of a network that
    is trained; the test part meets the one fitted model and is predicted once.

    Args:
        features: a row for each scan of the task's target, as in `cross_validate`.
        task: target and parts.

    Returns:
        the scans of the test part, all in fold 0.
    """
    whole, test = _whole(features, task.target), task.part(TEST)
    train, validation = whole.take(task.part(TRAIN)), whole.take(task.part(VALIDATION))
    loss = np.zeros(len(PENALTIES))
    if whole.features.shape[1]:
        tried = _path(train, validation.features, PENALTIES)
        weights = participant_weights(validation.participants)
        loss = _losses(tried, validation.values, whole.num_classes) @ weights
    predicted = _fit_predict(train, whole.features[test], _strongest_of_best(loss))
    values, folds = whole.values[test], np.zeros(int(test.sum()), np.int64)
    if whole.num_classes:
        return Outcome(values, decide(predicted, _class_shares(train)), predicted, folds)
    return Outcome(values, predicted, np.zeros((len(values), 0)), folds)


def decide(
    probabilities: Float[np.ndarray, "scans classes"], shares: Float[np.ndarray, " classes"]
) -> Float[np.ndarray, " scans"]:
    """The class each scan favours most over that class's share of what the model has learnt from.

    A model that adds nothing to the class sizes decides for the largest class.
    """
    lift = probabilities / shares
    flat = np.ptp(lift, axis=1) < 1e-9
    return np.where(flat, shares.argmax(), lift.argmax(axis=1)).astype(np.float64)


def _whole(features: Rows, target: Target) -> _Part:
    return _Part(
        np.asarray(features, dtype=np.float64),
        target.values,
        target.participants,
        task_strata(target),
        len(target.classes),
    )


def _choose_penalty(train: _Part, stream: np.random.Generator) -> float:
    """The penalty with the least loss over inner folds by participant; ties take the strongest."""
    if not train.features.shape[1]:
        return PENALTIES[-1]
    fold_of = participant_folds(train.participants, train.strata, _INNER_FOLDS, stream)
    weights = participant_weights(train.participants)
    loss = np.zeros(len(PENALTIES))
    for fold in range(_INNER_FOLDS):
        inside = held_in(fold_of, fold)
        if inside.all():
            continue
        predicted = _path(train.take(inside), train.features[~inside], PENALTIES)
        loss += _losses(predicted, train.values[~inside], train.num_classes) @ weights[~inside]
    return _strongest_of_best(loss)


def _strongest_of_best(loss: Float[np.ndarray, " penalties"]) -> float:
    best = np.flatnonzero(loss <= loss.min() * (1 + 1e-12))
    return PENALTIES[int(best[-1])]


def _fit_predict(train: _Part, test: Rows, penalty: float) -> np.ndarray:
    return np.asarray(_path(train, test, (penalty,))[0])


def _path(train: _Part, test: Rows, penalties: tuple[float, ...]) -> np.ndarray:
    weights = participant_weights(train.participants)
    scaling = fit_scaling(train.features, weights)
    sample = Sample(scaling.apply(train.features), train.values, weights)
    if train.num_classes:
        return logistic_path(sample, scaling.apply(test), penalties, train.num_classes)
    return ridge_path(sample, scaling.apply(test), penalties)


def _losses(predicted: np.ndarray, values: np.ndarray, num_classes: int) -> np.ndarray:
    """Loss of each penalty and scan: squared error, or the log loss."""
    if not num_classes:
        return np.asarray((predicted - values) ** 2)
    of_truth = np.take_along_axis(predicted, values.astype(int)[None, :, None], axis=2)[..., 0]
    return np.asarray(-np.log(np.clip(of_truth, 1e-6, 1.0)))


def _class_shares(train: _Part) -> Float[np.ndarray, " classes"]:
    weights = participant_weights(train.participants)
    counts = np.bincount(train.values.astype(int), weights, train.num_classes)
    return np.asarray(counts / weights.sum())
