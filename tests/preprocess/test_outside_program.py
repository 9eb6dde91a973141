from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neurofm.errors import MissingDependencyError, ScanError
from neurofm.preprocess.outside_program import (
    Program,
    find_program,
    program_version,
    run_program,
)

Play = Callable[[str, str], Path]
# Starts another process, as pipelines do, notes both numbers and never ends.
HANGS = """
import os, subprocess, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open("pids.tmp", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename("pids.tmp", "pids")
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def comes_true(condition: Callable[[], bool], within_seconds: float = 30) -> bool:
    deadline = time.monotonic() + within_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_the_first_of_its_commands_that_is_there_is_used(play_program: Play) -> None:
    program = Program("strip", ("one", "two"), "pip install two")
    with pytest.raises(MissingDependencyError, match="no one or two on the PATH; pip install two"):
        find_program(program)
    two = play_program("two", "")
    assert find_program(program) == two
    assert find_program(program) != play_program("one", "")
    assert find_program(program).name == "one"


def test_how_it_ended_is_told_and_not_judged(play_program: Play, tmp_path: Path) -> None:
    fails = play_program("fails", "print('no such weights'); sys.exit(3)")
    ending = run_program([fails], tmp_path)
    assert ending == "ended with status 3, its last words: no such weights"
    crashes = play_program("crashes", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert run_program([crashes], tmp_path) == "was killed by SIGSEGV"


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    ending = run_program([tmp_path / "text"], tmp_path)
    assert ending.startswith("ended with status 127, its last words: cannot be started: Exec")


def test_a_hanging_program_and_all_it_started_are_killed(
    play_program: Play, tmp_path: Path
) -> None:
    hangs = play_program("hangs", HANGS)
    with pytest.raises(ScanError, match="still at work after") as caught:
        run_program([hangs], tmp_path, limit_seconds=2)
    assert caught.value.kind == "tool"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert comes_true(lambda: not any(is_alive(pid) for pid in pids))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_program_ends_with_the_process_that_started_it(
    end: signal.Signals, play_program: Play, tmp_path: Path
) -> None:
    hangs = play_program("hangs", HANGS)
    code = (  # a background job of a shell is born deaf to Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pathlib import Path; from neurofm.preprocess.outside_program import run_program; "
        f"run_program([{str(hangs)!r}], Path({str(tmp_path)!r}))"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert comes_true((tmp_path / "pids").is_file)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(is_alive(pid) for pid in pids)
    started.send_signal(end)
    started.wait(timeout=30)
    assert comes_true(lambda: not any(is_alive(pid) for pid in pids))


def test_what_a_program_leaves_behind_is_ended(play_program: Play, tmp_path: Path) -> None:
    leaves = play_program("leaves", HANGS.replace("time.sleep(600)\n", "sys.exit(0)\n"))
    assert run_program([leaves], tmp_path) == "ended with status 0"
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert comes_true(lambda: not any(is_alive(pid) for pid in pids))


def test_a_version_is_what_the_program_says_or_freesurfers(
    play_program: Play, tmp_path: Path
) -> None:
    assert program_version(play_program("tells", "print('tells 2.1')")) == "tells 2.1"
    assert program_version(play_program("refuses", "print('9'); sys.exit(2)")) is None
    assert program_version(play_program("idle", "print('usage')")) is None
    (tmp_path / "fs" / "bin").mkdir(parents=True)
    (tmp_path / "fs" / "build-stamp.txt").write_text("freesurfer-linux-7.4.1\n")
    part = tmp_path / "fs" / "bin" / "mri_part"
    part.write_text("")
    assert program_version(part) == "freesurfer-linux-7.4.1"
