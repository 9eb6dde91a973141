"""Images in a folder that are no NIfTI: named and counted, with the way to convert them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from neurofm.volumes.formats import OtherForm, other_form

# A DICOM archive may hold millions of files; these many tell what it is.
_MOST_FILES = 5000


@dataclass(frozen=True)
class Refusal:
    """What a folder holds instead of NIfTI, and what to do about it."""

    what: str
    mend: str


def other_forms(folder: Path) -> list[tuple[OtherForm, int]]:
    """The other forms of image among the first files below a folder, commonest first."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = Counter(form for path in islice(files, _MOST_FILES) if (form := other_form(path)))
    return found.most_common()


def refusal_of(folder: Path) -> Refusal | None:
    """Why a folder without NIfTI cannot be indexed; None where it holds no other image either."""
    found = other_forms(folder)
    if not found:
        return None
    names = ", ".join(f"{count} files of {form.name}" for form, count in found)
    return Refusal(f"holds {names}, but no T1-weighted NIfTI scan", found[0][0].mend)


def note_on(folder: Path) -> tuple[str, ...]:
    """A note where a folder holds other images beside its NIfTI files."""
    return tuple(
        f"{count} files of {form.name} were left; {form.mend}"
        for form, count in other_forms(folder)
    )
