"""Files that are either whole or absent: atomic writes, checksums, one writer for each folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurofm.errors import RunError

_TEMPORARY_PREFIX = ".unfinished-"
_NO_MORE_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed and moved into place.

    The temporary name keeps the ending of `path`, because libraries choose a format by it. On an
    exception the temporary file is removed and whatever stood at `path` is untouched.

    Raises:
        RunError: the disk is full, the quota is used up, or the folder cannot be written to.
    """
    temporary: Path | None = None
    try:
        with explained_writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(
                prefix=_TEMPORARY_PREFIX, suffix="".join(path.suffixes[-2:]), dir=path.parent
            )
            os.close(descriptor)
            temporary = Path(name)
            yield temporary
            _flush_to_disk(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def explained_writing(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk, met while `path` is written, into one line.

    Raises:
        RunError: the disk is full, the quota is used up, or the place cannot be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (*_NO_MORE_ROOM, *_NOT_WRITABLE):
            raise _not_written(path, error) from None
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, making parent folders."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically as UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically as indented, sorted JSON; NaN and Inf are refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The JSON value in `path`."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(value: Any) -> str:
    """Sixteen hex digits that name a JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def probe_file(folder: Path) -> Iterator[Path]:
    """Yield a new, empty file in `folder` that others can be asked to see; then remove it."""
    with tempfile.NamedTemporaryFile(prefix=_TEMPORARY_PREFIX, dir=folder) as file:
        yield Path(file.name)


def require_writable(path: Path) -> None:
    """Refuse, before any work, a place where no file can be written; its folder is made.

    Raises:
        RunError: the disk is full or read-only, or the folder is none or cannot be written to.
    """
    with explained_writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with probe_file(path.parent):
                pass
        except (FileExistsError, NotADirectoryError):
            mend = "choose another -o"
            raise RunError("cannot be written (its folder is a file)", mend, path) from None


def sweep_unfinished(folder: Path) -> int:
    """Remove temporary files that a killed process left below `folder`; returns how many."""
    leftovers = list(folder.rglob(f"{_TEMPORARY_PREFIX}*")) if folder.is_dir() else []
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def require_room(folder: Path, wanted_bytes: int, wanted_files: int, what: str) -> None:
    """Refuse work that the file system of `folder` has no room for.

    Args:
        folder: exists.
        wanted_bytes: about as much as the work will write.
        wanted_files: about as many files and folders as it will make.
        what: the work in words, e.g. "40 scans".

    Raises:
        RunError: there are fewer bytes or fewer files (inodes) free than wanted.
    """
    disk = os.statvfs(folder)
    free_bytes = disk.f_bavail * disk.f_frsize
    mend = "make room, or choose another -o"
    if free_bytes < wanted_bytes:
        wanted, free = _in_words(wanted_bytes), _in_words(free_bytes)
        raise RunError(f"{what} need about {wanted}, but {free} are free there", mend, folder)
    # Some file systems count no files and say 0.
    if disk.f_files and disk.f_favail < wanted_files:
        raise RunError(
            f"{what} need about {wanted_files} files, but only {disk.f_favail} more can be made",
            mend,
            folder,
        )


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; a second process is refused.

    The lock is the operating system's, so it is gone with the process that held it, however that
    process ended.

    Raises:
        RunError: another living process holds the folder, or it cannot be written to.
    """
    lock_path = folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("a")
    except OSError as error:
        raise RunError(
            f"cannot be written to ({error.strerror})", "choose another output folder", folder
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise RunError(
            "another neurofm process is writing here", "wait for it, or choose another -o", folder
        ) from None
    except OSError as error:
        # Some cluster file systems are mounted without locks; the work can be done all the same.
        if error.errno not in _NO_LOCKS_HERE:
            raise
        warnings.warn(f"{folder} cannot be locked: start one command at a time", stacklevel=3)
    with lock:
        yield


def _not_written(path: Path, error: OSError) -> RunError:
    full = error.errno in _NO_MORE_ROOM
    mend = "make room, then repeat the command" if full else "choose another -o"
    return RunError(f"cannot be written ({os.strerror(error.errno or 0)})", mend, path)


def _in_words(count: int) -> str:
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1000:.0f} kB"


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
