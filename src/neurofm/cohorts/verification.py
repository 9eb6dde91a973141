"""Every file of an index read once, in a few threads: whole, sound, and what its checksum is."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from neurofm.cohorts.failures import Failure, failure_of
from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.name_checks import require_text_name
from neurofm.errors import ScanError
from neurofm.progress import Progress
from neurofm.volumes.contents import open_contents
from neurofm.volumes.header import Orientation
from neurofm.volumes.integrity import judge_file
from neurofm.volumes.nifti import read_foreign_mask

# Inflating and hashing release the interpreter's lock; more threads only fight for the disk.
_MOST_THREADS = 8


@dataclass(frozen=True)
class Look:
    """How files are looked at.

    Attributes:
        thorough: False opens each file without reading it through; `sha256` stays empty.
        volume_index: which volume of a series counts, from 0; None refuses series.
        assume_orientation: how voxels lie where a header does not say; None refuses such files.
    """

    thorough: bool = True
    volume_index: int | None = None
    assume_orientation: Orientation | None = None


@dataclass(frozen=True, eq=False)
class Verified:
    """An index with sizes, checksums and problems filled in.

    Attributes:
        frame: the index.
        failures: one for each problem.
        notes: what the files have in common that is odd but bearable, one line each.
    """

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    bytes: int
    sha256: str | None
    error: ScanError | None
    notes: tuple[str, ...] = ()


def verify_scans(frame: pd.DataFrame, look: Look, progress: Progress) -> Verified:
    """Fill `bytes`, `sha256` and `problem`; the order of rows and results never varies.

    Args:
        frame: an index whose files were not opened yet.
        look: how.
        progress: told of every file.
    """
    open_scan = partial(_read_through if look.thorough else _open_only, look)
    progress.start("verifying", len(frame), "scans")
    found: list[_Found] = []
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
        for result in pool.map(open_scan, frame["path"], frame["mask_path"]):
            found.append(result)
            progress.advance()
    progress.finish()
    keys = participant_keys(frame)
    failures = [
        None if item.error is None else failure_of(item.error, path, key, "index")
        for item, path, key in zip(found, frame["path"], keys, strict=True)
    ]
    problems = [None if failure is None else failure.reason for failure in failures]
    filled = frame.assign(
        bytes=[item.bytes for item in found],
        sha256=pd.Series([item.sha256 for item in found], dtype=object, index=frame.index),
        problem=pd.Series(problems, dtype=object, index=frame.index),
    )
    return Verified(
        filled,
        tuple(failure for failure in failures if failure),
        _gathered(found, list(frame["scan_id"])),
    )


def _read_through(look: Look, path: str, mask_path: str | None) -> _Found:
    try:
        require_text_name(path)
        report = judge_file(
            Path(path),
            volume_index=look.volume_index,
            assume_orientation=look.assume_orientation,
        )
        notes = report.notes
        if mask_path is not None:
            notes += _mask_notes(look, Path(mask_path))
    except ScanError as error:
        return _Found(_size(path), None, error)
    return _Found(report.bytes, report.sha256, None, notes)


def _open_only(_: Look, path: str, mask_path: str | None) -> _Found:
    try:
        require_text_name(path)
        with open_contents(Path(path)) as contents:
            size = contents.file_bytes
        if mask_path is not None:
            _open_mask(Path(mask_path))
    except ScanError as error:
        return _Found(_size(path), None, error)
    return _Found(size, None, None)


def _mask_notes(look: Look, path: Path) -> tuple[str, ...]:
    try:
        require_text_name(str(path))
        mask = read_foreign_mask(path, look.assume_orientation)
    except ScanError as error:
        raise _of_mask(error, path) from None
    return tuple(note if "mask" in note else f"its mask: {note}" for note in mask.notes)


def _open_mask(path: Path) -> None:
    try:
        require_text_name(str(path))
        with open_contents(path):
            return
    except ScanError as error:
        raise _of_mask(error, path) from None


def _of_mask(error: ScanError, path: Path) -> ScanError:
    return ScanError(f"its mask {path.name}: {error.what}", error.mend, path, kind="mask")


def _gathered(found: Sequence[_Found], names: Sequence[str]) -> tuple[str, ...]:
    """One line for each kind of note: how many scans, and the first of them."""
    first: dict[str, tuple[str, str]] = {}
    counts = Counter[str]()
    for item, name in zip(found, names, strict=True):
        for note in item.notes:
            kind = re.sub(r"[-+.e\d]*\d", "#", note)
            first.setdefault(kind, (name, note))
            counts[kind] += 1
    return tuple(
        f"{name}: {note}" + (f" ({counts[kind] - 1} more like it)" if counts[kind] > 1 else "")
        for kind, (name, note) in first.items()
    )


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0
