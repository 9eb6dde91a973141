"""Files are whole or absent; a folder has one writer."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurofm.errors import RunError
from neurofm.files import (
    atomic_path,
    fingerprint_of,
    only_writer,
    probe_file,
    read_json,
    require_room,
    require_writable,
    sha256_of,
    sweep_unfinished,
    write_json,
    write_text,
)


class Crash(Exception):
    pass


def test_a_crash_while_writing_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(Crash), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise Crash
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_lies_beside_its_place_and_keeps_the_ending(tmp_path: Path) -> None:
    """F6: a file is never moved from another file system."""
    with atomic_path(tmp_path / "deep" / "scan.nii.gz") as temporary:
        assert temporary.parent == tmp_path / "deep"
        assert temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"x")
    assert (tmp_path / "deep" / "scan.nii.gz").read_bytes() == b"x"


def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    """F7."""
    script = (
        "import os, sys; from pathlib import Path; from neurofm.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as p:\n"
        "    p.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.txt")], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    assert not (tmp_path / "a.txt").exists()
    assert sweep_unfinished(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_json_goes_round_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, None]})
    assert read_json(tmp_path / "a.json") == {"b": [1, None]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", float("nan"))


def test_the_sha256_is_the_standard_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_a_fingerprint_ignores_the_order_of_keys_only() -> None:
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    assert fingerprint_of([1, 2]) != fingerprint_of([2, 1])


def test_a_second_process_writing_to_a_folder_is_refused(tmp_path: Path) -> None:
    """F5."""
    script = (
        "import sys; from pathlib import Path; from neurofm.files import only_writer\n"
        "from neurofm.errors import RunError\n"
        "try:\n"
        "    with only_writer(Path(sys.argv[1])): print('in')\n"
        "except RunError as error: print(error.what)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with only_writer(tmp_path):
        held = subprocess.run(command, capture_output=True, text=True, check=True)
    free = subprocess.run(command, capture_output=True, text=True, check=True)
    assert held.stdout.strip() == "another neurofm process is writing here"
    assert free.stdout.strip() == "in"


def test_an_output_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(RunError, match="cannot be written"), only_writer(tmp_path / "taken"):
        pass


def test_the_lock_of_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    """F5."""
    script = (
        "import os, sys; from pathlib import Path; from neurofm.files import only_writer\n"
        "with only_writer(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert (tmp_path / ".lock").is_file()
    with only_writer(tmp_path):
        pass


def test_a_disk_without_room_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    """F1."""
    write_text(tmp_path / "a.txt", "old")
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
        told = pytest.raises(RunError, match=r"a\.txt: cannot be written")
        with told, atomic_path(tmp_path / "a.txt"):
            raise OSError(number, os.strerror(number))
        assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(IsADirectoryError), atomic_path(tmp_path / "a.txt"):
        raise IsADirectoryError(errno.EISDIR, "another matter")


def test_a_place_for_a_file_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    """F3."""
    require_writable(tmp_path / "new" / "table.parquet")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "taken").write_text("x")
    for place in ("taken/table.parquet", "taken/deeper/table.parquet"):
        with pytest.raises(RunError, match="its folder is a file"):
            require_writable(tmp_path / place)


def test_a_read_only_place_is_refused_before_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F3; the system says no, because root may write everywhere."""

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(RunError, match=r"Read-only file system\); choose another -o"):
        require_writable(tmp_path / "table.parquet")


def test_work_that_finds_no_room_is_refused(tmp_path: Path) -> None:
    require_room(tmp_path, 1000, 1, "1 scan")
    with pytest.raises(RunError, match=r"40 scans need about 1000000\.0 TB, but .* are free"):
        require_room(tmp_path, 10**18, 1, "40 scans")


def test_a_probe_is_there_and_then_gone(tmp_path: Path) -> None:
    with probe_file(tmp_path) as probe:
        assert list(tmp_path.iterdir()) == [probe]
    assert list(tmp_path.iterdir()) == []
