"""Folds by participant: all scans of one person stay together, strata are spread evenly."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int


def participant_folds(
    participants: Int[np.ndarray, " scans"],
    strata: Int[np.ndarray, " scans"],
    folds: int,
    stream: np.random.Generator,
) -> Int[np.ndarray, " scans"]:
    """The fold of each scan, drawn by participant within strata.

    Sizes of folds, and of each stratum in them, differ by one participant at most. A participant
    whose scans lie in several strata counts for the lowest.

    Args:
        participants: a number for each person, the same for all of a person's scans; 0, 1, 2...
        strata: class of each scan, or quantile of its target.
        folds: how many; at least 2.
        stream: the only source of chance.
    """
    stratum = stratum_of_people(participants, strata)
    people = len(stratum)
    order = np.lexsort((stream.random(people), stratum))
    fold_of = np.empty(people, dtype=np.int64)
    fold_of[order] = np.arange(people) % folds
    return np.asarray(stream.permutation(folds)[fold_of][participants])


def stratum_of_people(
    participants: Int[np.ndarray, " scans"], strata: Int[np.ndarray, " scans"]
) -> Int[np.ndarray, " people"]:
    """The stratum of each participant: the lowest of the scans'."""
    stratum = np.full(int(participants.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(stratum, participants, strata)
    return stratum


def participant_weights(participants: Int[np.ndarray, " scans"]) -> np.ndarray:
    """Weight of each scan such that every participant weighs one, however many scans."""
    counts = np.bincount(participants)
    return np.asarray(1.0 / counts[participants])


def held_in(folds: Int[np.ndarray, " scans"], fold: int) -> Bool[np.ndarray, " scans"]:
    """The scans a model of `fold` may learn from."""
    return np.asarray(folds != fold)
