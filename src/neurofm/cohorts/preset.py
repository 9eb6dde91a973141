"""The paper's split of its three evaluation cohorts; everybody else is for pre-training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.listing import named
from neurofm.cohorts.sides import HELD_OUT_TRAIN, PRETRAIN, TEST, TRAIN, UNUSED, VALIDATION
from neurofm.cohorts.splits import described, drawn, joined_people, three_sides
from neurofm.cohorts.text_table import nearest
from neurofm.config.preparation import SplitConfig
from neurofm.errors import TableError

# AIBL's training set: 53 of each class, where the smaller class has 83 people.
_TRAIN_OF_SMALLER, _SMALLER = 53, 83
_CLASSES = ("H", "AD")


@dataclass(frozen=True, eq=False)
class Divided:
    """An index with its column `split` filled, and notes on who was left out."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Cohort:
    """Rows of one cohort, the person of each row, and how its draws go."""

    name: str
    rows: pd.DataFrame
    people: pd.Series[Any]
    config: SplitConfig
    seed: int


def paper_split(frame: pd.DataFrame, config: SplitConfig, seed: int) -> Divided:
    """Divide SOOP, AIBL and IXI by person as the paper does; all other cohorts are "pretrain".

    SOOP's training part is "train", which pre-training sees too. That of AIBL and IXI is
    "held-out-train", which it does not. The draw depends on the seed and on who is in the cohort.

    Args:
        frame: an index without a split, or with this one.
        config: whether people without the label may be left out.
        seed: the recipe's.

    Raises:
        TableError: none of the three cohorts is there, a label is missing, or nobody has AD.
    """
    present = [name for name in _PARTS if (frame["cohort"] == name).any()]
    if not present:
        raise TableError(
            f"holds none of {', '.join(_PARTS)}",
            "read them with: neurofm index --cohort NAME FOLDER", "index",
        )  # fmt: skip
    people = joined_people(frame)
    sides = pd.Series(PRETRAIN, index=frame.index, dtype=object)
    notes = [f"the index has no {name}" for name in _PARTS if name not in present]
    for name in present:
        rows = frame[frame["cohort"] == name]
        cohort = _Cohort(name, rows, people[rows.index], config, seed)
        divided, more = _PARTS[name](cohort)
        sides[rows.index] = divided
        notes += [f"{name}: {note}" for note in more]
    return Divided(frame.assign(split=sides), tuple(notes))


def _soop(cohort: _Cohort) -> tuple[pd.Series[Any], list[str]]:
    return _fifths(cohort, labels=("nihss",), stratify=("nihss",), training=TRAIN)


def _ixi(cohort: _Cohort) -> tuple[pd.Series[Any], list[str]]:
    labels = ("sex", "age_years")
    return _fifths(cohort, labels=labels, stratify=(*labels, "site"), training=HELD_OUT_TRAIN)


def _fifths(
    cohort: _Cohort, labels: Sequence[str], stratify: Sequence[str], training: str
) -> tuple[pd.Series[Any], list[str]]:
    """60/20/20: test and validation are a fifth each, to the nearest whole person."""
    labelled, notes = _labelled(cohort, labels)
    groups = described(labelled.assign(split=None), cohort.people[labelled.index], stratify)
    fifth = (2 * len(groups) + 5) // 10
    sides = three_sides(groups, (fifth, fifth), training, cohort.name, cohort.seed)
    return cohort.people.map(sides).fillna(UNUSED), notes


def _aibl(cohort: _Cohort) -> tuple[pd.Series[Any], list[str]]:
    """A balanced training set of H and AD, the rest halved; everybody else is unused.

    A person's class is the first diagnosis known of him; his scans with another are unused.
    """
    labelled, notes = _labelled(cohort, ("diagnosis",))
    ordered = labelled.sort_values(["age_years", "session_id", "scan_id"])
    first = ordered["diagnosis"].groupby(cohort.people[ordered.index]).first()
    sizes = [int((first == name).sum()) for name in _CLASSES]
    count = _TRAIN_OF_SMALLER * min(sizes) // _SMALLER
    if not count:
        raise TableError(
            f"AIBL has {sizes[0]} people of class H and {sizes[1]} of AD",
            "see the column diagnosis", "index",
        )  # fmt: skip
    sides: dict[str, str] = {}
    for name in _CLASSES:
        sides |= _balanced(cohort, labelled, set(first.index[first == name]), count, name)
    by_row = cohort.people.map(sides).fillna(UNUSED)
    others = (by_row != UNUSED) & (cohort.rows["diagnosis"] != cohort.people.map(first))
    neither = len(first) - sum(sizes)
    if neither:
        notes.append(f"{neither} people began as neither H nor AD: unused")
    if others.any():
        notes.append(f"{others.sum()} scans with another diagnosis than the person's first: unused")
    return by_row.where(~others, UNUSED), notes


def _balanced(
    cohort: _Cohort, labelled: pd.DataFrame, members: set[str], count: int, name: str
) -> dict[str, str]:
    rows = labelled[cohort.people[labelled.index].isin(members)]
    groups = described(rows.assign(split=None), cohort.people[rows.index], ("age_years",))
    train = drawn(groups, count, f"AIBL {name} {TRAIN}", cohort.seed)
    others = [group for group in groups if group.key not in train]
    validation = drawn(others, len(others) // 2, f"AIBL {name} {VALIDATION}", cohort.seed)
    sides = dict.fromkeys((group.key for group in others), TEST)
    return sides | dict.fromkeys(train, HELD_OUT_TRAIN) | dict.fromkeys(validation, VALIDATION)


def _labelled(cohort: _Cohort, labels: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows with all labels, and a note on the people who have none and may be dropped."""
    for label in labels:
        if label not in cohort.rows:
            near = nearest(label, list(cohort.rows.columns))
            raise TableError(
                f"has no column '{label}', which {cohort.name} needs",
                f"did you mean '{near}'? rename it" if near else "add it to the cohort's table",
                "index",
            )
    has = cohort.rows[list(labels)].notna().all(axis=1)
    known = has.groupby(cohort.people).any()
    bare = cohort.rows[~cohort.people.map(known)]
    if bare.empty:
        return cohort.rows[has], []
    keys = sorted(set(participant_keys(bare)))
    what = f"{len(keys)} participants without {' or '.join(labels)}: {named(keys)}"
    if not cohort.config.drop_unlabelled:
        raise TableError(
            what, "label them, or say --drop-unlabelled (split.drop_unlabelled=true)", "index"
        )
    return cohort.rows[has], [f"{what}; unused"]


_PARTS: dict[str, Callable[[_Cohort], tuple[pd.Series[Any], list[str]]]] = {
    "SOOP": _soop,
    "AIBL": _aibl,
    "IXI": _ixi,
}
