"""Where a store may be written: into nothing, into itself, and only if the disk holds it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from neurofm.errors import StoreError
from neurofm.store.manifest import CONTRACT, INDEX, MANIFEST, SHARDS, read_manifest
from neurofm.store.shards import packed_mask_bytes

_OWN_NAMES = {MANIFEST, INDEX, CONTRACT, SHARDS, "failures.csv", ".lock"}


def refuse_foreign_folder(folder: Path, derivatives: Path) -> None:
    """Refuse a folder that holds anything but a store, finished or not.

    Raises:
        StoreError: names what is there.
    """
    mend = "choose another -o"
    if folder.resolve() == derivatives.resolve():
        raise StoreError("is the derivatives folder itself", mend, folder)
    if folder.is_file():
        raise StoreError("is a file", mend, folder)
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".unfinished-")}
    foreign = sorted(names - _OWN_NAMES)
    if INDEX in names and SHARDS not in names:
        foreign.append(INDEX)
    if foreign:
        raise StoreError(f"is not empty and no store (holds {foreign[0]})", mend, folder)


def refuse_other_store(folder: Path, content: str) -> None:
    """Refuse a finished store of other content than is to be packed.

    Raises:
        StoreError: there is one.
    """
    if (folder / MANIFEST).exists() and read_manifest(folder).content != content:
        raise StoreError(
            "holds a finished store of other scans or settings",
            "choose another -o, or remove that store first",
            folder,
        )


def require_space(folder: Path, scans: int, shape: tuple[int, int, int]) -> None:
    """Refuse to start where the disk cannot hold `scans` more volumes of (z, y, x) `shape`.

    Raises:
        StoreError: says how much is needed and free.
    """
    needed = scans * (int(np.prod(shape)) * 2 + packed_mask_bytes(shape))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"needs {needed / 1e9:.1f} GB for {scans} scans, the disk has {free / 1e9:.1f} GB free",
            "free some space, choose another -o or a coarser store.spacing_mm",
            folder,
        )
