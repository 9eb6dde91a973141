"""The probe: cross-validated by participant, or fitted once and tried on a test part.

It is a regularised linear model, or the nearest neighbours. Nothing of a test fold touches the
model that predicts it: standardisation, the choice of the penalty or the number of neighbours
(again by folds of participants), the threshold and the fit all see the training part only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.data.targets import Target, task_strata
from neurofm.evaluation.bias_line import BiasLine, fit_bias_line
from neurofm.evaluation.folds import (
    held_in,
    participant_folds,
    participant_weights,
)
from neurofm.evaluation.linear import Rows, Sample, fit_scaling, logistic_path, ridge_path
from neurofm.evaluation.metrics import Outcome
from neurofm.evaluation.neighbours import neighbours_path
from neurofm.evaluation.operating_point import choose_threshold
from neurofm.evaluation.parts import PartedTask
from neurofm.seeds import random_stream

# Per scan, see linear.py; standardised features have a mean variance of 1.
PENALTIES = tuple(10.0**power for power in range(-3, 4))
NEIGHBOURS = (1.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_INNER_FOLDS = 3
_NO_BIAS = BiasLine()

Reader = Literal["linear", "neighbours"]
_SETTINGS: dict[Reader, tuple[float, ...]] = {"linear": PENALTIES, "neighbours": NEIGHBOURS}


@dataclass(frozen=True, eq=False)
class _Part:
    """The scans of one task, or of a training part of it."""

    features: Rows
    values: Float[np.ndarray, " scans"]
    participants: Int[np.ndarray, " scans"]
    strata: Int[np.ndarray, " scans"]
    num_classes: int  # 0 for regression
    reader: Reader

    @property
    def settings(self) -> tuple[float, ...]:
        return _SETTINGS[self.reader]

    def take(self, chosen: np.ndarray) -> _Part:
        people = np.unique(self.participants[chosen], return_inverse=True)[1]
        return _Part(
            self.features[chosen], self.values[chosen], people, self.strata[chosen],
            self.num_classes, self.reader,
        )  # fmt: skip


@dataclass(frozen=True)
class _Choice:
    """A penalty or number of neighbours; the threshold or the bias that goes with it."""

    setting: float
    threshold: float = float("nan")
    bias: BiasLine = _NO_BIAS


def cross_validate(  # noqa: PLR0917 - what, whose, and the two numbers of a repeat
    features: Rows,
    target: Target,
    folds: int,
    seed: int,
    repeat: int,
    reader: Reader = "linear",
) -> Outcome:
    """Predict every scan by a probe that never saw its participant.

    Args:
        features: a row for each scan of `target.rows`; no columns gives the mean or the class
            sizes of the training part; NaN counts as unknown.
        target: the task.
        folds: how many; the penalty is chosen by three more inside each training part.
        seed: the recipe's seed.
        repeat: which repeat; with `seed` it decides the folds, the same for every model.
        reader: linear model or neighbours.
    """
    whole = _whole(features, target, reader)
    fold_of = participant_folds(
        whole.participants, whole.strata, folds, random_stream("folds", seed, repeat)
    )
    probabilities = np.zeros((len(target.rows), whole.num_classes))
    prediction, thresholds = np.zeros(len(target.rows)), np.full(len(target.rows), np.nan)
    corrected = np.full(len(target.rows), np.nan)
    for fold in range(folds):
        inside = held_in(fold_of, fold)
        stream = random_stream("inner folds", seed, repeat, fold)
        train, test = whole.take(inside), whole.features[~inside]
        choice = _choose_inside(train, stream)
        predicted = _fit_predict(train, test, choice.setting)
        thresholds[~inside] = choice.threshold
        if whole.num_classes:
            probabilities[~inside] = predicted
            prediction[~inside] = decide(predicted, _class_shares(train))
        else:
            prediction[~inside] = predicted
            corrected[~inside] = choice.bias.taken_from(predicted, whole.values[~inside])
    return Outcome(target.values, prediction, probabilities, fold_of, thresholds, corrected)


def predict_test_part(features: Rows, task: PartedTask, reader: Reader = "linear") -> Outcome:
    """Predict the test part by a probe of the training part, as strong as suits validation best.

    The validation part only chooses the penalty and the threshold, as it only chooses the epoch
    of a network that is trained; the test part meets the one fitted model and is predicted once.

    Args:
        features: a row for each scan of the task's target, as in `cross_validate`.
        task: target and parts.
        reader: linear model or neighbours.

    Returns:
        the scans of the test part, all in fold 0.
    """
    whole, test = _whole(features, task.target, reader), task.part(TEST)
    train, validation = whole.take(task.part(TRAIN)), whole.take(task.part(VALIDATION))
    choice = _of_constant(train)
    if whole.features.shape[1]:
        choice = _choose(_path(train, validation.features, whole.settings), validation)
    predicted = _fit_predict(train, whole.features[test], choice.setting)
    values, folds = whole.values[test], np.zeros(int(test.sum()), np.int64)
    if not whole.num_classes:
        corrected = choice.bias.taken_from(predicted, values)
        return Outcome(values, predicted, np.zeros((len(values), 0)), folds, corrected=corrected)
    thresholds = np.full(len(values), choice.threshold)
    return Outcome(values, decide(predicted, _class_shares(train)), predicted, folds, thresholds)


def predict_unseen(
    features: Rows,
    target: Target,
    *,
    learn_from: Bool[np.ndarray, " scans"],
    predict: Bool[np.ndarray, " scans"],
    seed: int,
) -> Outcome:
    """Predict some scans by a linear probe of others, all chosen among the latter.

    Args:
        features: a row for each scan of the target, as in `cross_validate`.
        target: the task.
        learn_from: the scans to learn from.
        predict: the scans to predict, of none of whose participants it learns.
        seed: the recipe's; it decides the inner folds.

    Returns:
        the predicted scans, all in fold 0.
    """
    whole = _whole(features, target, "linear")
    train = whole.take(learn_from)
    choice = _choose_inside(train, random_stream("inner folds", seed, "unseen"))
    predicted = _fit_predict(train, whole.features[predict], choice.setting)
    values, folds = whole.values[predict], np.zeros(int(predict.sum()), np.int64)
    if not whole.num_classes:
        return Outcome(values, predicted, np.zeros((len(values), 0)), folds)
    thresholds = np.full(len(values), choice.threshold)
    return Outcome(values, decide(predicted, _class_shares(train)), predicted, folds, thresholds)


def decide(
    probabilities: Float[np.ndarray, "scans classes"], shares: Float[np.ndarray, " classes"]
) -> Float[np.ndarray, " scans"]:
    """The class each scan favours most over that class's share of what the model has learnt from.

    A model that adds nothing to the class sizes decides for the largest class; a class that it has
    not learnt is never decided for.
    """
    learnt = np.flatnonzero(shares)
    lift = probabilities[:, learnt] / shares[learnt]
    flat = np.ptp(lift, axis=1) < 1e-9
    return np.where(flat, shares.argmax(), learnt[lift.argmax(axis=1)]).astype(np.float64)


def _whole(features: Rows, target: Target, reader: Reader) -> _Part:
    return _Part(
        np.asarray(features, dtype=np.float64),
        target.values,
        target.participants,
        task_strata(target),
        len(target.classes),
        reader,
    )


def _choose_inside(train: _Part, stream: np.random.Generator) -> _Choice:
    """What suits the training part itself best, over inner folds by participant."""
    if not train.features.shape[1]:
        return _of_constant(train)
    fold_of = participant_folds(train.participants, train.strata, _INNER_FOLDS, stream)
    classes = (train.num_classes,) if train.num_classes else ()
    tried = np.zeros((len(train.settings), len(train.values), *classes))
    for fold in range(_INNER_FOLDS):
        inside = held_in(fold_of, fold)
        if not inside.all():
            tried[:, ~inside] = _path(train.take(inside), train.features[~inside], train.settings)
    return _choose(tried, train)


def _of_constant(train: _Part) -> _Choice:
    """Nothing to choose, and the error is known: the constant less the truth."""
    mean = float(np.average(train.values, weights=participant_weights(train.participants)))
    return _Choice(train.settings[-1], bias=BiasLine(-1.0, mean))


def _choose(tried: np.ndarray, part: _Part) -> _Choice:
    """The setting with the least loss, its threshold or bias; ties take the last, the smoothest.

    Args:
        tried: predictions of the part by models that have not seen it, settings first.
        part: whose truth is known.
    """
    weights = participant_weights(part.participants)
    loss = _losses(tried, part.values, part.num_classes) @ weights
    best = int(np.flatnonzero(loss <= loss.min() * (1 + 1e-12))[-1])
    if not part.num_classes:
        bias = fit_bias_line(tried[best], part.values, weights)
        return _Choice(part.settings[best], bias=bias)
    if part.num_classes > 2:
        return _Choice(part.settings[best])
    return _Choice(
        part.settings[best], choose_threshold(part.values == 1, tried[best, :, 1], weights)
    )


def _fit_predict(train: _Part, test: Rows, setting: float) -> np.ndarray:
    return np.asarray(_path(train, test, (setting,))[0])


def _path(train: _Part, test: Rows, settings: tuple[float, ...]) -> np.ndarray:
    weights = participant_weights(train.participants)
    scaling = fit_scaling(train.features, weights)
    sample = Sample(scaling.apply(train.features), train.values, weights)
    if train.reader == "neighbours":
        return neighbours_path(sample, scaling.apply(test), settings, train.num_classes)
    if train.num_classes:
        return logistic_path(sample, scaling.apply(test), settings, train.num_classes)
    return ridge_path(sample, scaling.apply(test), settings)


def _losses(predicted: np.ndarray, values: np.ndarray, num_classes: int) -> np.ndarray:
    """Loss of each setting and scan: squared error, or the log loss."""
    if not num_classes:
        return np.asarray((predicted - values) ** 2)
    of_truth = np.take_along_axis(predicted, values.astype(int)[None, :, None], axis=2)[..., 0]
    return np.asarray(-np.log(np.clip(of_truth, 1e-6, 1.0)))


def _class_shares(train: _Part) -> Float[np.ndarray, " classes"]:
    weights = participant_weights(train.participants)
    counts = np.bincount(train.values.astype(int), weights, train.num_classes)
    return np.asarray(counts / weights.sum())
