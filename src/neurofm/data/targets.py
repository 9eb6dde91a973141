"""What is predicted: index columns turned into numbers or classes, with who was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from neurofm.cohorts.index import column_mend, participant_keys
from neurofm.errors import TableError

Kind = Literal["regression", "binary", "multiclass"]

SITE_TASK = "site"
_STRATA = 5
_FEW_CODES = 5  # whole numbers, as classes are coded with
# Words for people without the condition; the other class is then the positive one.
_CONTROLS = {"h", "hc", "cn", "nc", "control", "controls", "healthy", "normal", "no", "0", "false"}


@dataclass(frozen=True, eq=False)
class Target:
    """One task: the scans with a label, their values, and who they belong to.

    Attributes:
        task: name of the index column, or "site".
        kind: regression, binary or multiclass.
        rows: positions of the usable scans in the frame.
        values: the number to predict, or the class's place in `classes`.
        classes: class names, controls first; the last is the positive one of a binary task.
            Empty for regression.
        participants: a number for each person, 0, 1, 2..., in the order of their keys.
        keys: participant key "cohort/participant_id" of each scan.
        notes: who was left out, in plain words.
    """

    task: str
    kind: Kind
    rows: Int[np.ndarray, " scans"]
    values: Float[np.ndarray, " scans"]
    classes: tuple[str, ...]
    participants: Int[np.ndarray, " scans"]
    keys: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def num_participants(self) -> int:
        """People with at least one labelled scan."""
        return int(self.participants.max()) + 1 if len(self.participants) else 0

    @property
    def positives(self) -> int | None:
        """Participants of the positive class of a binary task, else None."""
        if self.kind != "binary":
            return None
        return len(np.unique(self.participants[self.values == 1]))


def build_target(
    frame: pd.DataFrame, column: str, folds: int, classes: tuple[str, ...] = ()
) -> Target:
    """The task of predicting `column`, over the scans of `frame` that have it.

    A column of numbers is a regression; one of text, or with only two different numbers, is a
    classification. A class with fewer participants than folds cannot be in every training part:
    its scans are left out.

    Args:
        frame: rows of an index.
        column: an index column, or "site".
        folds: parts that each class has to be in.
        classes: named by the user, so that numbers are names as well; empty for none.

    Raises:
        TableError: no such column.
    """
    labels = labels_of(frame, column)
    keys = participant_keys(frame)
    labelled = labels.notna().to_numpy()
    notes = _left_out(keys, labelled, "without a label")
    numbers = pd.to_numeric(labels, errors="coerce")
    are_numbers = column != SITE_TASK and not classes
    if are_numbers and numbers[labelled].notna().all() and numbers.nunique() > 2:
        rows = np.flatnonzero(labelled)
        values = numbers.to_numpy(dtype=np.float64)[rows]
        notes += _coded(column, values)
        return _target(column, "regression", rows, values, (), keys, notes)
    text = class_names(labels)
    people = keys[labelled].groupby(text[labelled]).nunique()
    kept = text.isin(people.index[people >= folds]).to_numpy()
    notes += _left_out(keys, kept | ~labelled, f"in classes of fewer than {folds} participants")
    found = tuple(sorted(people.index[people >= folds], key=_controls_first))
    rows = np.flatnonzero(kept)
    values = text.iloc[rows].map({name: float(i) for i, name in enumerate(found)}).to_numpy()
    kind: Kind = "binary" if len(found) <= 2 else "multiclass"
    return _target(column, kind, rows, values.astype(np.float64), found, keys, notes)


def labels_of(frame: pd.DataFrame, column: str) -> pd.Series:
    """The labels of an index column, or of "site"; what is blank is missing.

    Raises:
        TableError: no such column.
    """
    if column == SITE_TASK:
        return site_labels(frame)
    if column not in frame:
        raise TableError(f"has no column '{column}'", column_mend(frame, column), "index")
    labels = frame[column]
    blank = [isinstance(label, str) and not label.strip() for label in labels]
    return labels.mask(np.array(blank, dtype=bool))


def class_names(labels: pd.Series) -> pd.Series:
    """Labels as the names of classes, 1 and 1.0 alike "1"; what is missing stays so."""
    return labels.map(_as_text, na_action="ignore")


def task_strata(target: Target) -> Int[np.ndarray, " scans"]:
    """What parts of the scans are to hold alike: the class, or the quantile of a number."""
    if target.kind == "regression":
        return quantile_strata(target.values, _STRATA)
    return target.values.astype(np.int64)


def quantile_strata(
    values: Int[np.ndarray, " scans"] | np.ndarray, strata: int
) -> Int[np.ndarray, " scans"]:
    """The quantile, 0 to `strata` - 1, that each value of a continuous target falls into."""
    edges = np.quantile(values, np.linspace(0, 1, strata + 1)[1:-1])
    return np.searchsorted(edges, values, side="right")


def site_labels(frame: pd.DataFrame) -> pd.Series:
    """Where each scan was made: its cohort, and the site within it where that is known."""
    cohort = frame["cohort"].astype(str)
    if "site" not in frame:
        return cohort
    site = frame["site"]
    return cohort.where(site.isna(), cohort + "/" + site.astype(str))


def _target(  # noqa: PLR0917 - the fields of Target, in its order
    task: str,
    kind: Kind,
    rows: np.ndarray,
    values: np.ndarray,
    classes: tuple[str, ...],
    keys: pd.Series,
    notes: tuple[str, ...],
) -> Target:
    used = keys.iloc[rows].astype(str).to_numpy()
    participants = np.unique(used, return_inverse=True)[1].astype(np.int64)
    return Target(task, kind, rows, values, classes, participants, tuple(used), notes)


def _left_out(keys: pd.Series, kept: np.ndarray, why: str) -> tuple[str, ...]:
    missing = len(set(keys[~kept]) - set(keys[kept]))
    scans = int((~kept).sum())
    if not scans:
        return ()
    people = "participant" if missing == 1 else "participants"
    return (f"left out: {missing} {people} ({scans} {'scan' if scans == 1 else 'scans'}) {why}",)


def _coded(column: str, values: np.ndarray) -> tuple[str, ...]:
    codes = np.unique(values)
    if len(codes) > _FEW_CODES or (codes % 1).any():
        return ()
    listed = ", ".join(f"{code:g}" for code in codes)
    return (f"'{column}' has only {listed} and is taken for a number; write words for classes",)


def _as_text(label: object) -> str:
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


def _controls_first(name: str) -> tuple[bool, str]:
    return name.lower() not in _CONTROLS, name
