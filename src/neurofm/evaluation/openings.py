"""How often the people of a task have been scored: a line a time, beside the store they lie in.

A test part that is scored again and again, and a model chosen by it, is no test part any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from neurofm.files import fingerprint_of
from neurofm.store.reader import Store

OPENINGS = "openings.jsonl"


def count_opening(
    store: Store, people: Mapping[str, Sequence[str]], recipe_fingerprint: str
) -> dict[str, int] | None:
    """Add a line for this evaluation and count those of the same tasks and scans.

    The file holds fingerprints only; copying a store without it starts again from 0.

    Args:
        store: in whose folder the file is.
        people: the scored scans of each task.
        recipe_fingerprint: of the evaluation.

    Returns:
        by task, this time included; None where the folder cannot be written to.
    """
    path = store.folder / OPENINGS
    scored = {
        task: fingerprint_of([store.content, task, sorted(scans)]) for task, scans in people.items()
    }
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": recipe_fingerprint,
        "scored": scored,
    }
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    before = [_scored(text) for text in lines]
    return {task: sum(each.get(task) == own for each in before) for task, own in scored.items()}


def _scored(line: str) -> dict[str, str]:
    """The fingerprints of a line; none of one that was cut off."""
    try:
        found = json.loads(line)["scored"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
