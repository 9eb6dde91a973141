"""A disk that fails for a moment costs a retry, not a scan; one that is gone costs one line."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofm.errors import ScanError
from neurofm.volumes.contents import open_contents
from neurofm.volumes.steady_file import WAITS_S

Nifti = Callable[..., bytes]
NO_WAITS = (0.0, 0.0, 0.0)


class Stumbling:
    """Opens files whose opening or reading fails a number of times before it works."""

    def __init__(self, failures: int, code: int, when: str, at_byte: int = 0) -> None:
        self.failures, self.code, self.when, self.at_byte = failures, code, when, at_byte
        self.opened = 0

    def __call__(self, path: Path) -> io.FileIO:
        self.opened += 1
        if self.when == "opening":
            self.stumble(path)
        owner = self

        class File(io.FileIO):
            def read(self, size: int = -1) -> bytes:
                if owner.when == "reading" and self.tell() >= owner.at_byte:
                    owner.stumble(path)
                return super().read(size)

        return File(path)

    def stumble(self, path: Path) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(self.code, os.strerror(self.code), str(path))


@pytest.fixture
def scan(tmp_path: Path, nifti: Nifti) -> Path:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(nifti() + os.urandom(300_000)))
    return path


def read_whole(path: Path, opener: Stumbling) -> str:
    with open_contents(path, opener, NO_WAITS) as contents:
        contents.skip(1 << 40)
        return contents.sha256()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize(("when", "at_byte"), [("opening", 0), ("reading", 0), ("reading", 70_000)])
def test_an_error_that_passes_is_read_through(
    scan: Path, code: int, when: str, at_byte: int
) -> None:
    """Case 19."""
    opener = Stumbling(3, code, when, at_byte)
    assert read_whole(scan, opener) == hashlib.sha256(scan.read_bytes()).hexdigest()
    assert (opener.opened, opener.failures) == (4, 0)


@pytest.mark.parametrize("when", ["opening", "reading"])
def test_an_error_that_stays_is_one_line_after_four_tries(scan: Path, when: str) -> None:
    """Case 19."""
    opener = Stumbling(99, errno.ESTALE, when, 70_000)
    with pytest.raises(ScanError, match="cannot be read .* look at the disk") as caught:
        read_whole(scan, opener)
    assert caught.value.kind == "unreadable"
    assert opener.opened == 1 + len(WAITS_S) == 4


def test_another_error_is_not_tried_again(scan: Path) -> None:
    opener = Stumbling(99, errno.EACCES, "opening")
    with pytest.raises(ScanError, match="may not be read"):
        read_whole(scan, opener)
    assert opener.opened == 1


def test_a_file_replaced_during_a_retry_is_refused(scan: Path) -> None:
    """Cases 18, 19."""

    class Replacing(Stumbling):
        def stumble(self, path: Path) -> None:
            if self.failures:
                path.write_bytes(b"x" * 10_000)
            super().stumble(path)

    with pytest.raises(ScanError, match="was changed while it was read"):
        read_whole(scan, Replacing(1, errno.EIO, "reading", 70_000))


def test_files_are_closed_after_every_end(scan: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for opener in (Stumbling(1, errno.EIO, "reading"), Stumbling(99, errno.EIO, "reading")):
        try:
            read_whole(scan, opener)
        except ScanError:
            continue
    with pytest.raises(ScanError):
        read_whole(scan.parent, Stumbling(0, 0, ""))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
