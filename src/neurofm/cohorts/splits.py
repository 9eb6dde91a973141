"""Which participants pre-training may see: drawn by person, never by scan, the same every time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurofm.cohorts.index import column_mend, participant_keys, read_index
from neurofm.cohorts.sides import HELD_OUT, PRETRAIN, TEST, VALIDATION
from neurofm.config.preparation import SplitConfig
from neurofm.errors import LeakageError, TableError
from neurofm.seeds import seed_of

# A number with more values than this is stratified by its fifths.
_MOST_CLASSES = 10
_PARTS_OF_A_NUMBER = 5


@dataclass(frozen=True)
class Group:
    """Participants who must stay together, because they share a file."""

    key: str
    stratum: tuple[Hashable, ...]
    split: str | None


def assign_splits(frame: pd.DataFrame, config: SplitConfig, seed: int) -> pd.DataFrame:
    """Fill the column `split` with "pretrain" or "held-out", one side for each person.

    Participants who share an identical file count as one person. The result depends on the seed
    and on who is in the index, never on the order of its rows. A side that is already given is
    kept, and holds for all scans of that person.

    Args:
        frame: an index.
        config: the share held out, and the columns whose proportions both sides keep.
        seed: the recipe's.

    Raises:
        TableError: a column to stratify by is missing, or `split` holds another word.
        LeakageError: given sides would put one person on both.
    """
    _require_known(frame, config)
    members = joined_people(frame)
    groups = described(frame, members, config.stratify)
    sides = {group.key: group.split or PRETRAIN for group in groups}
    for stratum, quota in quotas(groups, config.held_out_fraction, seed).items():
        inside = [group for group in groups if group.stratum == stratum]
        given = sum(group.split == HELD_OUT for group in inside)
        free = sorted(
            (group.key for group in inside if group.split is None),
            key=lambda key: seed_of("split", seed, key),
        )
        for key in free[: max(0, quota - given)]:
            sides[key] = HELD_OUT
    return frame.assign(split=members.map(sides).astype(object))


def split_counts(frame: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Participants and scans on each side of a divided index."""
    keys = participant_keys(frame)
    return {
        str(side): (int(keys[rows.index].nunique()), len(rows))
        for side, rows in frame.groupby("split", sort=True)
    }


def require_same_split(divided: pd.DataFrame, path: Path) -> None:
    """Raise a `TableError` where `path` holds an index that is split in another way."""
    if not path.exists():
        return
    before, now = (
        dict(zip(frame["scan_id"], frame["split"], strict=True))
        for frame in (read_index(path), divided)
    )
    if any(side is not None and now.get(scan) != side for scan, side in before.items()):
        raise TableError("holds another split", "choose another output, or delete it", path)


def _require_known(frame: pd.DataFrame, config: SplitConfig) -> None:
    require_columns(frame, config.stratify)
    others = sorted(set(frame["split"].dropna()) - {PRETRAIN, HELD_OUT})
    if others:
        raise TableError(
            f"the column split holds '{others[0]}'",
            f"write '{PRETRAIN}' or '{HELD_OUT}', or leave it empty", "index",
        )  # fmt: skip


def require_columns(frame: pd.DataFrame, stratify: Sequence[str]) -> None:
    """Raise a `TableError` where the index lacks a column to stratify by."""
    missing = [name for name in stratify if name not in frame.columns]
    if missing:
        raise TableError(
            f"has no column '{missing[0]}' to stratify by",
            column_mend(frame, missing[0]), "index",
        )  # fmt: skip


def joined_people(frame: pd.DataFrame) -> pd.Series[Any]:
    """For each row the smallest participant key of all who are joined by identical files."""
    keys = participant_keys(frame)
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    first: dict[str, str] = {}
    for key, digest in zip(keys, frame["sha256"], strict=True):
        if not pd.isna(digest):
            one, other = sorted((root(key), root(first.setdefault(digest, key))))
            parent[other] = one
    return keys.map(root)


def described(frame: pd.DataFrame, members: pd.Series[Any], stratify: Sequence[str]) -> list[Group]:
    """The people of a frame, with what is to be held alike and the side that is given to them.

    Raises:
        LeakageError: two sides are given to one person.
    """
    columns = {name: _classes(frame[name], members) for name in stratify}
    ordered = frame.assign(_group=members, **{f"_{n}": c for n, c in columns.items()})
    groups = []
    for key, rows in ordered.sort_values("scan_id").groupby("_group", sort=True):
        given = sorted(set(rows["split"].dropna()))
        if len(given) > 1:
            people = ", ".join(sorted(set(participant_keys(rows))))
            raise LeakageError(
                f"{people}: scans of one person are on both sides of the split",
                "correct the column split", "index",
            )  # fmt: skip
        stratum = tuple(_first_known(rows[f"_{name}"]) for name in stratify)
        groups.append(Group(str(key), stratum, given[0] if given else None))
    return groups


def _classes(column: pd.Series[Any], members: pd.Series[Any]) -> pd.Series[Any]:
    """The column as classes; a number of many values by the fifths of the participants."""
    if not pd.api.types.is_numeric_dtype(column) or column.nunique() <= _MOST_CLASSES:
        return column.astype(object)
    each = column.groupby(members).min().dropna()
    edges = np.quantile(each, np.linspace(0, 1, _PARTS_OF_A_NUMBER + 1)[1:-1])
    part = pd.Series(np.searchsorted(edges, column), index=column.index, dtype=object)
    return part.where(column.notna(), None)


def _first_known(cells: pd.Series[Any]) -> Hashable:
    known = cells.dropna()
    return "" if known.empty else str(known.iloc[0])


def quotas(groups: Sequence[Group], fraction: float, seed: int) -> dict[tuple[Hashable, ...], int]:
    """People to hold out of each stratum: shares rounded down, the rest to the largest rests."""
    return _rounded(_sizes(groups), fraction, math.floor(fraction * len(groups) + 0.5), seed)


def drawn(groups: Sequence[Group], count: int, what: str, seed: int) -> set[str]:
    """The keys of so many groups, of each stratum its share; `what` names the draw."""
    share = count / len(groups) if groups else 0.0
    keys: set[str] = set()
    for stratum, quota in _rounded(_sizes(groups), share, count, seed).items():
        inside = [group.key for group in groups if group.stratum == stratum]
        inside.sort(key=lambda key: seed_of("split", what, seed, key))
        keys.update(inside[:quota])
    return keys


def three_sides(
    groups: Sequence[Group], sizes: tuple[int, int], training: str, what: str, seed: int
) -> dict[str, str]:
    """The side of each group: so many of test and of validation, the others `training`.

    Args:
        groups: all with their strata, of which each side has its share.
        sizes: groups in test, and in validation.
        training: the side of the others.
        what: names the draws.
        seed: the recipe's.
    """
    test = drawn(groups, sizes[0], f"{what} {TEST}", seed)
    others = [group for group in groups if group.key not in test]
    validation = drawn(others, sizes[1], f"{what} {VALIDATION}", seed)
    sides = {group.key: training for group in others}
    return sides | dict.fromkeys(test, TEST) | dict.fromkeys(validation, VALIDATION)


def _sizes(groups: Sequence[Group]) -> dict[tuple[Hashable, ...], int]:
    sizes: dict[tuple[Hashable, ...], int] = defaultdict(int)
    for group in groups:
        sizes[group.stratum] += 1
    return sizes


def _rounded(
    sizes: Mapping[tuple[Hashable, ...], int], fraction: float, total: int, seed: int
) -> dict[tuple[Hashable, ...], int]:
    shares = {stratum: fraction * size for stratum, size in sizes.items()}
    counts = {stratum: math.floor(share + 1e-9) for stratum, share in shares.items()}
    missing = total - sum(counts.values())
    by_rest = sorted(
        shares,
        key=lambda stratum: (
            -round(shares[stratum] - counts[stratum], 9),
            seed_of("split-rest", seed, *map(str, stratum)),
        ),
    )
    for stratum in by_rest[: max(0, missing)]:
        counts[stratum] += 1
    return counts
