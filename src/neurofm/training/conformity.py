"""Scores for prediction intervals: of validation people who had no part in choosing the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from neurofm.cohorts.index import participant_keys
from neurofm.config.tuning import ChoosingConfig
from neurofm.data.participants import one_scan_each
from neurofm.models.conformal import conformity_errors
from neurofm.seeds import random_stream, seed_of
from neurofm.training.task import Task
from neurofm.training.validation_metrics import Choice, choose_metric

_PARTS = 10
_DRAW = 0  # not the run's seed: seeds of one recipe are scored on the same scans
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Judged:
    """What an epoch's weights say of the validation part; rows as in the task.

    Attributes:
        said: numbers or probabilities.
        losses: of each scan.
    """

    said: Float[np.ndarray, "scans values"]
    losses: Float[np.ndarray, " scans"]


@dataclass(frozen=True)
class KeptScores:
    """What a card keeps of a validation part, for intervals.

    Attributes:
        scores: errors of the prediction, one a participant, without a name.
        people: runs that have it in common scored the same people in the same order; empty where
            the order is that of the scores.
    """

    scores: tuple[float, ...]
    people: str = ""


NO_SCORES = KeptScores(())


def value_of(
    epoch: Judged, known: Float[np.ndarray, " scans"], choice: Choice, where: Bool[Any, " scans"]
) -> float:
    """What an epoch is chosen by, on some of the scans; `choice` is of the same scans."""
    if choice.metric == "loss":
        return float(epoch.losses[where].mean())
    return choice.compute(known[where], epoch.said[where])


def honest_scores(task: Task, config: ChoosingConfig, epochs: Sequence[Judged]) -> KeptScores:
    """How far off the validation part's predictions were, one number a participant.

    The epoch that fits the validation part best fits it better than it fits new people. So each
    tenth of its people is scored by the epoch that the other nine tenths would have chosen, as in
    cross-validation. A participant with several scans counts with one, drawn by its id alone.

    Seeds of one recipe keep the same people in the same order, so that an ensemble's own errors
    can be told. The order is drawn by the SHA-256 of all their scans: nobody can tell whose an
    error is who does not have the scans of the whole part.

    Args:
        task: its validation part is what the epochs were judged by.
        config: how the epoch is chosen.
        epochs: all of the run, in their order.

    Returns:
        none where a prediction is not finite.
    """
    frame, count = task.validation, len(task.validation)
    known = np.array([task.values[int(row)] for row in frame.index])
    place = _parts(frame, known if task.head.classes else np.zeros(count))
    scores = np.empty(count)
    for part in range(_PARTS):
        inside = place == part
        if inside.any():
            best = epochs[_best(task, config, epochs, known, ~inside)]
            scores[inside] = conformity_errors(known[inside], best.said[inside], task.head)
    chosen, people = _in_hidden_order(one_scan_each(frame, count, _DRAW))
    kept = scores[frame.index.get_indexer(chosen.index)]
    if not np.isfinite(kept).all():
        return NO_SCORES
    rounded = tuple(float(f"{each:.{_DIGITS}g}") for each in kept.tolist())
    return KeptScores(rounded, people) if people else KeptScores(tuple(sorted(rounded)))


def _in_hidden_order(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows in an order that only all of their scans give, and its name; none where one lacks."""
    keys, sums = participant_keys(frame), frame["sha256"]
    if sums.isna().any():
        return frame, ""
    secret = "\n".join(sorted(f"{key} {each}" for key, each in zip(keys, sums, strict=True)))
    drawn = keys.map(lambda key: seed_of("conformity order", secret, str(key)))
    return frame.loc[drawn.sort_values().index], f"{seed_of('conformity people', secret):016x}"


def _best(
    task: Task,
    config: ChoosingConfig,
    epochs: Sequence[Judged],
    known: Float[np.ndarray, " scans"],
    where: Bool[Any, " scans"],
) -> int:
    """The first of the best epochs by some of the scans; by all, where these cannot tell."""
    is_told = len(np.unique(known[where])) > 1 or (not task.head.classes and where.any())
    where = where if is_told else np.ones(len(where), dtype=bool)
    choice = choose_metric(replace(task, validation=task.validation[where]), config)
    best, value = 0, value_of(epochs[0], known, choice, where)
    for place, epoch in enumerate(epochs[1:], start=1):
        now = value_of(epoch, known, choice, where)
        if choice.is_better(now, value):
            best, value = place, now
    return best


def _parts(frame: pd.DataFrame, classes: Float[np.ndarray, " scans"]) -> Any:
    """The tenth of each row: all scans of a person in one, every class spread over all."""
    people = participant_keys(frame)
    table = pd.DataFrame({"key": people, "label": classes}).drop_duplicates("key")
    drawn = {key: random_stream("conformity part", key).random() for key in table["key"]}
    ordered = table.assign(draw=table["key"].map(drawn)).sort_values(["label", "draw"])["key"]
    part = {key: number % _PARTS for number, key in enumerate(ordered)}
    return people.map(part).to_numpy()
