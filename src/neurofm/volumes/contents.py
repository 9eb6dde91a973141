"""The bytes inside a file: inflated once, hashed, and held against the gzip checksum."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from neurofm.errors import ScanError
from neurofm.volumes.formats import refuse_foreign_format, refuse_foreign_name
from neurofm.volumes.steady_file import (
    PASSING_ERRORS,
    WAITS_S,
    Opener,
    SteadyFile,
    open_unbuffered,
    steady_file,
)

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_FRAMING = 16 + zlib.MAX_WBITS
# Deflate packs at most 1032 to 1, so one piece never inflates to more than 66 MiB.
_PIECE_BYTES = 1 << 16
DEFLATE_LIMIT = 1032
_HEAD_BYTES = 512


class Contents:
    """A regular file read once from its start, inflated where it is gzip.

    Attributes:
        path: the file, for messages.
        file_bytes: its size on disk.
        compressed: whether it is gzip, judged by content, not by name.
        members: gzip members read to their end so far.
        trailing_bytes: bytes on disk after the last gzip member; known after `drain`.
    """

    def __init__(self, file: SteadyFile, path: Path) -> None:
        self.path = path
        self.file_bytes = file.size
        self.members = 0
        self.trailing_bytes = 0
        self._file = file
        self._digest = hashlib.sha256()
        self._pending = memoryview(b"")
        head = file.peek(_HEAD_BYTES)
        refuse_foreign_format(head, path)
        self.compressed = head.startswith(_GZIP_MAGIC)
        self._pieces = self._inflated() if self.compressed else self._raw()

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end of the contents."""
        buffer = bytearray(count)
        return bytes(buffer[: self.read_into(memoryview(buffer))])

    def read_into(self, target: memoryview) -> int:
        """Fill `target` with the next bytes; returns how many there were.

        Raises:
            ScanError: the gzip stream is damaged or ends early, or the disk fails.
        """
        filled = 0
        while filled < len(target) and self._refill():
            count = min(len(self._pending), len(target) - filled)
            target[filled : filled + count] = self._pending[:count]
            self._pending = self._pending[count:]
            filled += count
        return filled

    def skip(self, count: int) -> int:
        """Pass over up to `count` bytes without keeping them; returns how many there were."""
        passed = 0
        while passed < count and self._refill():
            step = min(len(self._pending), count - passed)
            self._pending = self._pending[step:]
            passed += step
        return passed

    def sha256(self) -> str:
        """SHA-256 of the file on disk as far as it was read; of all of it after the end."""
        return self._digest.hexdigest()

    def _refill(self) -> bool:
        if not self._pending:
            self._pending = memoryview(next(self._pieces, b""))
        return len(self._pending) > 0

    def _raw(self) -> Generator[bytes, None, None]:
        while piece := self._file.read(_PIECE_BYTES):
            self._digest.update(piece)
            yield piece

    def _inflated(self) -> Generator[bytes, None, None]:
        raw = self._raw()
        rest = next(raw, b"")
        while rest.startswith(_GZIP_MAGIC):
            rest = yield from self._member(rest, raw)
            self.members += 1
            if len(rest) < len(_GZIP_MAGIC):
                rest += next(raw, b"")
        self.trailing_bytes = len(rest) + sum(len(piece) for piece in raw)

    def _member(
        self, data: bytes, raw: Generator[bytes, None, None]
    ) -> Generator[bytes, None, bytes]:
        inflater = zlib.decompressobj(_GZIP_FRAMING)
        while data:
            try:
                piece = inflater.decompress(data)
            except zlib.error as error:
                raise self._damaged(str(error)) from None
            if piece:
                yield piece
            if inflater.eof:
                return inflater.unused_data
            data = next(raw, b"")
        raise ScanError(
            "the gzip stream ends early: the file is cut off",
            "copy or download it again",
            self.path,
            kind="truncated",
        )

    def _damaged(self, message: str) -> ScanError:
        if "incorrect" in message and ("data check" in message or "length check" in message):
            return ScanError(
                "its gzip checksum is wrong: the contents were altered",
                "copy or download it again",
                self.path,
                kind="checksum",
            )
        return ScanError(
            "its gzip stream is damaged", "copy or download it again", self.path, kind="damaged"
        )


@contextlib.contextmanager
def open_contents(
    path: Path, opener: Opener = open_unbuffered, waits_s: Sequence[float] = WAITS_S
) -> Iterator[Contents]:
    """Open a regular, non-empty file that looks like NIfTI; never waits on a pipe or device.

    A read that fails as network file systems fail for a moment is tried three times more.

    Args:
        path: the file.
        opener: opens it for reading, unbuffered.
        waits_s: seconds to wait before each further try.

    Raises:
        ScanError: missing, dangling link, folder, pipe, unreadable, empty or of another format.
    """
    _require_usable_name(path)
    try:
        with steady_file(path, opener, waits_s) as file:
            refuse_foreign_name(path)
            yield Contents(file, path)
    except OSError as error:
        raise _unopened(path, error) from None


def _require_usable_name(path: Path) -> None:
    try:
        usable = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise ScanError("is no usable file name", "rename it", repr(str(path)), kind="missing")


def _unopened(path: Path, error: OSError) -> ScanError:
    if isinstance(error, IsADirectoryError):
        return ScanError("is a folder, not a file", "name the files in it", path, kind="not-a-file")
    if isinstance(error, PermissionError):
        return ScanError("may not be read", "ask for read permission", path, kind="unreadable")
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        annexed = "annex" in str(path.readlink())
        mend = "run: datalad get (or git annex get)" if annexed else "restore the link's target"
        return ScanError("is a link to a file that is not here", mend, path, kind="missing")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return ScanError("does not exist", "check the path", path, kind="missing")
    passing = error.errno in PASSING_ERRORS
    mend = "look at the disk or the network, then run the same command again" if passing else ""
    return ScanError(f"cannot be read ({error.strerror})", mend, path, kind="unreadable")
