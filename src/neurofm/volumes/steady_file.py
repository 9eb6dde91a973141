"""A file on a disk that may stumble: a read that fails for a moment is tried again."""

from __future__ import annotations

import errno
import io
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from neurofm.errors import ScanError

Opener = Callable[[Path], BinaryIO]
_Result = TypeVar("_Result")

# What network file systems answer when a server was away or a file handle has gone stale.
PASSING_ERRORS = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO})
# Seconds before each of the three further tries.
WAITS_S = (0.1, 0.3, 1.0)


def open_unbuffered(path: Path) -> BinaryIO:
    """Open a file for reading; never waits on a pipe or device, and refuses a folder."""
    return io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


class SteadyFile:
    """A regular, non-empty file, read from its start through passing errors of the disk.

    After such an error the file is opened again and read on from the same place.

    Attributes:
        size: bytes of the file.
    """

    def __init__(self, path: Path, opener: Opener, waits_s: Sequence[float]) -> None:
        self._path = path
        self._opener = opener
        self._waits_s = tuple(waits_s)
        self._position = 0
        self._file: BinaryIO | None = None
        self.size = 0

    def open(self) -> None:
        """Open the file and learn its size.

        Raises:
            ScanError: it is a pipe, a device, or empty.
            OSError: it cannot be opened, at the last try either.
        """
        self._steadily(self._opened)

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; none at the end of the file.

        Raises:
            ScanError: after a passing error another file stood under the name.
            OSError: it cannot be read, at the last try either.
        """
        piece = self._steadily(lambda: self._opened().read(count))
        self._position += len(piece)
        return piece

    def peek(self, count: int) -> bytes:
        """The first bytes, without moving on; for use before anything was read."""

        def attempt() -> bytes:
            file = self._opened()
            head = file.read(count)
            file.seek(0)
            return head

        return self._steadily(attempt)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _steadily(self, attempt: Callable[[], _Result]) -> _Result:
        for wait_s in self._waits_s:
            try:
                return attempt()
            except OSError as error:
                if error.errno not in PASSING_ERRORS:
                    raise
            self.close()
            time.sleep(wait_s)
        return attempt()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self._opener(self._path)
            size = self._size_of_regular(os.fstat(self._file.fileno()))
            if self.size not in {0, size}:
                raise ScanError(
                    "was changed while it was read", "try again", self._path, kind="changed"
                )
            self.size = size
            self._file.seek(self._position)
        return self._file

    def _size_of_regular(self, status: os.stat_result) -> int:
        if not stat.S_ISREG(status.st_mode):
            raise ScanError("is a pipe or a device, not a file", "", self._path, kind="not-a-file")
        if status.st_size == 0:
            mend = "copy or download it again"
            raise ScanError("is empty (0 bytes)", mend, self._path, kind="empty")
        return status.st_size


@contextmanager
def steady_file(
    path: Path, opener: Opener = open_unbuffered, waits_s: Sequence[float] = WAITS_S
) -> Iterator[SteadyFile]:
    """Open a file that survives passing errors of the disk; closed at the end of the block.

    Args:
        path: the file.
        opener: opens it for reading, unbuffered.
        waits_s: seconds to wait before each further try; as many tries as there are waits.

    Raises:
        ScanError: it is a pipe, a device, or empty.
        OSError: it cannot be opened, at the last try either.
    """
    file = SteadyFile(path, opener, waits_s)
    try:
        file.open()
        yield file
    finally:
        file.close()
