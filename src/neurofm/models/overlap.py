"""Whether somebody evaluated was seen in pre-training: salted hashes instead of names."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.models.card import Card, CohortCount


def new_salt() -> str:
    """A random salt, so that equal participants have other hashes in every card."""
    return secrets.token_hex(16)


def hash_participants(keys: Iterable[str], salt: str) -> list[str]:
    """Sorted, distinct hashes of participant keys or scan checksums, 32 hex digits each.

    They keep names out of a card; they are no secret to somebody who can list all possible names.
    """
    return sorted({_hash(key, salt) for key in keys})


def overlap(card: Card, frame: pd.DataFrame) -> list[str]:
    """Participants of an index whom the weights have seen, by name or by an equal scan file.

    Args:
        card: of the weights. One without hashes (imported weights) overlaps with nobody here: see
            its `cohorts`.
        frame: an index; without a `sha256` column names alone are compared.

    Returns:
        sorted keys "cohort/participant_id".
    """
    participants, scans = set(card.participant_hashes), set(card.scan_hashes)
    keys = [str(key) for key in participant_keys(frame)]
    checksums = frame["sha256"].tolist() if "sha256" in frame else [None] * len(keys)
    return sorted(
        {
            key
            for key, checksum in zip(keys, checksums, strict=True)
            if _hash(key, card.participant_salt) in participants
            or (isinstance(checksum, str) and _hash(checksum, card.participant_salt) in scans)
        }
    )


def count_cohorts(frame: pd.DataFrame) -> tuple[CohortCount, ...]:
    """Participants and scans of each cohort of an index."""
    return tuple(
        CohortCount(
            cohort=str(cohort), participants=int(rows["participant_id"].nunique()), scans=len(rows)
        )
        for cohort, rows in frame.groupby("cohort", sort=True)
    )


def _hash(text: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()[:32]
