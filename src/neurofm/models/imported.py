"""Checkpoints given in place of a folder of weights: imported once, kept by their SHA-256."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from neurofm.errors import RunError, WeightsError
from neurofm.files import explained_writing, sha256_of
from neurofm.models.card import read_card
from neurofm.models.checkpoint_import import import_checkpoint
from neurofm.models.import_report import read_report
from neurofm.models.weights import WEIGHTS_FILE
from neurofm.versions import package_version


def cache_folder() -> Path:
    """Where neurofm keeps what it can make again: $NEUROFM_CACHE, or ~/.cache/neurofm."""
    given = os.environ.get("NEUROFM_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "neurofm"


def imported(checkpoint: Path) -> Path:
    """The folder of weights of a published checkpoint, imported by this version of neurofm.

    It is made once, whole or not at all, however many processes ask for it; where something has
    damaged it since, it is made again.

    Args:
        checkpoint: a file as `import_checkpoint` reads it.

    Raises:
        WeightsError: the file is no checkpoint that neurofm knows.
        RunError: the cache cannot be written to.
    """
    version = package_version("neurofm") or "unknown"
    folder = cache_folder() / "imported" / version / sha256_of(checkpoint)
    if _is_whole(folder):
        return folder
    try:
        with explained_writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            _import_into(folder, checkpoint)
    except RunError as error:
        mend = "make room there, or set NEUROFM_CACHE to another folder"
        raise RunError(error.what, mend, cache_folder()) from None
    except (FileExistsError, NotADirectoryError):
        raise RunError("is no folder", "set NEUROFM_CACHE to one", cache_folder()) from None
    except WeightsError as error:
        if "--allow-incomplete" not in error.mend:
            raise
        mend = "to take what matches: neurofm import-weights FILE -o FOLDER --allow-incomplete"
        raise WeightsError(error.what, mend, error.where) from None
    return folder


def _import_into(folder: Path, checkpoint: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as temporary:
        made, damaged = Path(temporary) / "weights", Path(temporary) / "damaged"
        import_checkpoint(checkpoint, made)
        if folder.exists() and not _is_whole(folder):
            with contextlib.suppress(FileNotFoundError):
                folder.rename(damaged)
        # Another process may have been faster; then its folder stays.
        try:
            made.rename(folder)
        except OSError:
            if not _is_whole(folder):
                raise


def _is_whole(folder: Path) -> bool:
    try:
        whole = read_card(folder).weights_sha256 == sha256_of(folder / WEIGHTS_FILE)
        return whole and read_report(folder) is not None
    except (WeightsError, OSError):
        return False
