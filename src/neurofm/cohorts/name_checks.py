"""Names of files and people that another system could not tell apart or could not store."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.errors import ScanError

# What backslashreplace makes of a byte of a file name that is no UTF-8.
_ESCAPE = re.compile(r"\\u(dc[89a-f][0-9a-f])")


def case_notes(frame: pd.DataFrame) -> list[str]:
    """Notes on paths, and on people, that macOS and Windows would take for one."""
    notes = []
    for what, names in (
        ("the files", frame["path"]),
        ("the participants", participant_keys(frame)),
    ):
        alike = _alike(names)
        if alike:
            notes.append(
                f"{what} {' and '.join(alike[0])} differ only in case or in how accents are "
                "stored: on macOS and Windows they are one"
                + (f" ({len(alike) - 1} more like it)" if alike[1:] else "")
            )
    return notes


def storable(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every byte of a name that is no text written as an escape, \\udcf6."""
    changed = {}
    for name in frame.columns:
        if frame[name].dtype == object:
            cells = [_as_text(cell) if isinstance(cell, str) else cell for cell in frame[name]]
            changed[name] = pd.Series(cells, dtype=object, index=frame.index)
    return frame.assign(**changed)


def require_text_name(path: str) -> None:
    """Raise a `ScanError` where a path was escaped by `storable`, so that no table can hold it."""
    original = _ESCAPE.sub(lambda escape: chr(int(escape.group(1), 16)), path)
    if original != path and os.path.lexists(original):
        raise ScanError("its name is not UTF-8 text", "rename it", path, kind="name")


def _as_text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _alike(names: Iterable[str]) -> list[list[str]]:
    """Groups of different names that some systems take for one, in order."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(unicodedata.normalize("NFC", name).lower(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
