"""Who is held out from pre-training: drawn by person, stratified, the same whatever the order."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.config.preparation import SplitConfig
from neurofm.errors import LeakageError, TableError
from neurofm.seeds import seed_of

PRETRAIN = "pretrain"
HELD_OUT = "held-out"


def assign_splits(frame: pd.DataFrame, config: SplitConfig, seed: int) -> pd.DataFrame:
    """A copy of the index with `split` filled: "pretrain" or "held-out".

    People are joined where they share an image file, so nobody is on both sides under two names.
    Within each stratum the share held out is `config.held_out_fraction`, rounded over the strata
    so that the total is right. A split that already stands is kept.

    Args:
        frame: an index.
        config: the recipe's `split` section.
        seed: the recipe's seed; the draw depends on it and on who is in the index alone.

    Raises:
        TableError: a column to stratify by is missing.
        LeakageError: a person's scans stand on different sides already.
    """
    people = people_of(frame)
    known = _existing(frame, people)
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for person, stratum in _strata(frame, people, config.stratify).items():
        if person not in known:
            strata[stratum].append(person)
    held_out: set[str] = set()
    owed = 0.0
    for stratum in sorted(strata):
        members = sorted(
            strata[stratum], key=lambda person: (seed_of("split", seed, person), person)
        )
        owed += config.held_out_fraction * len(members)
        take = min(len(members), round(owed))
        owed -= take
        held_out.update(members[:take])
    split = {p: HELD_OUT if p in held_out else PRETRAIN for p in people.unique()} | known
    return frame.assign(split=people.map(split).astype(object))


def people_of(frame: pd.DataFrame) -> pd.Series:
    """A name for the person of each scan: participants that share an image file are one person."""
    keys = participant_keys(frame)
    first: dict[str, str] = {key: key for key in keys}

    def root(key: str) -> str:
        while first[key] != key:
            key = first[key]
        return key

    checksums = frame["sha256"] if "sha256" in frame else pd.Series([None] * len(frame))
    owner: dict[str, str] = {}
    for key, checksum in zip(keys, checksums, strict=True):
        if isinstance(checksum, str):
            a, b = root(key), root(owner.setdefault(checksum, key))
            first[max(a, b)] = min(a, b)
    return keys.map(root)


def _existing(frame: pd.DataFrame, people: pd.Series) -> dict[str, str]:
    known: dict[str, str] = {}
    splits = frame["split"] if "split" in frame else pd.Series([None] * len(frame))
    for person, split in zip(people, splits, strict=True):
        if isinstance(split, str) and known.setdefault(person, split) != split:
            raise LeakageError(
                f"{person} stands in the splits '{known[person]}' and '{split}'",
                "give all scans of a person one split", "index",
            )  # fmt: skip
    return known


def _strata(
    frame: pd.DataFrame, people: pd.Series, columns: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    for column in columns:
        if column not in frame.columns:
            raise TableError(f"has no column '{column}'", "see split.stratify", "index")
    first = frame.assign(person=people).sort_values("scan_id").groupby("person").first()
    cells = first[list(columns)].astype(object)
    return {
        str(person): tuple("" if pd.isna(value) else str(value) for value in row)
        for person, row in zip(cells.index, cells.to_numpy(), strict=True)
    }
