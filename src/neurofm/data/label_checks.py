"""What of a label stops a task before any work: people without one, and classes in codes."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.listing import named
from neurofm.data.targets import SITE_TASK, labels_of
from neurofm.errors import TableError

# A class or a step of a scale: nothing but the user can tell. 0 and 1 are "no" and "yes".
_CODES = {0.0, 1.0, 2.0}
_NO_AND_YES = {0.0, 1.0}


def require_labels(frame: pd.DataFrame, column: str) -> None:
    """See that everybody has a label at some visit.

    Args:
        frame: rows of an index: those that have a part in the task.
        column: an index column, or "site".

    Raises:
        TableError: no such column, or people without a label; names the first of them.
    """
    has_label = labels_of(frame, column).notna()
    known = has_label.groupby(participant_keys(frame)).any()
    bare = sorted(str(key) for key in known.index[~known])
    if bare:
        raise TableError(
            f"{len(bare)} participants without '{column}': {named(bare)}",
            "label them, or say split.drop_unlabelled=true", "index",
        )  # fmt: skip


def refuse_codes(frame: pd.DataFrame, column: str) -> None:
    """See that labels are not the numbers 1 and 2, or 0, 1 and 2: classes, or a scale?

    Raises:
        TableError: no such column, or they are.
    """
    labels = labels_of(frame, column).dropna()
    if column == SITE_TASK:
        return
    numbers = pd.to_numeric(labels, errors="coerce")
    codes = {float(number) for number in numbers}
    if len(codes) < 2 or not codes <= _CODES or codes == _NO_AND_YES:
        return
    listed = [f"{code:g}" for code in sorted(codes)]
    names = ", ".join(f'"{code}"' for code in listed)
    raise TableError(
        f"'{column}' has only the numbers {', '.join(listed)}, which may be codes of classes",
        f"write a word for each, or train with objective.classes=[{names}]", "index",
    )  # fmt: skip
