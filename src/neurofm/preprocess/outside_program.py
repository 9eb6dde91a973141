"""Programs of others, started on one scan: found, timed, killed when they hang, never trusted."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from neurofm.errors import MissingDependencyError, ScanError

# The slowest of them take some ten minutes for a scan on one core; one that takes longer hangs.
TIME_LIMIT_SECONDS = 45 * 60.0
_VERSION_LIMIT_SECONDS = 60.0
_SHOWN_CHARACTERS = 200
_WATCH = Path(__file__).with_name("program_watch.py")
# Sums depend on the number of threads, and so would the result; scans go side by side instead.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Program:
    """A program that a user may have.

    Attributes:
        name: as it is called in settings and messages.
        commands: what it may be called on this machine; the first that is there is used.
        how_to_get: one sentence for somebody who does not have it.
    """

    name: str
    commands: tuple[str, ...]
    how_to_get: str


def find_program(program: Program) -> Path:
    """Where the program lies, by the PATH.

    Raises:
        MissingDependencyError: it is not there; says how to get it.
    """
    for command in program.commands:
        found = shutil.which(command)
        if found:
            return Path(found)
    raise MissingDependencyError(
        f"{program.name} is asked for, but there is no {' or '.join(program.commands)} on the PATH",
        program.how_to_get,
    )


def run_program(
    command: Sequence[str | Path], folder: Path, limit_seconds: float = TIME_LIMIT_SECONDS
) -> str:
    """Run a command to its end and tell how it ended; what it wrote is for the caller to judge.

    The command gets no input, one thread where it listens to such wishes, and a session of its
    own, so that everything it starts ends with it when it takes too long, the user interrupts or
    this process is killed (see `program_watch`).

    Args:
        command: the program's path and its arguments.
        folder: where it runs and where its messages are kept, in `messages.txt`.
        limit_seconds: it is killed after this time.

    Returns:
        how it ended, in words, for a reader who wonders why its output is missing.

    Raises:
        ScanError: (kind "tool") it did not end in time.
    """
    messages = folder / "messages.txt"
    watched = [sys.executable, "-I", "-S", str(_WATCH), *map(str, command)]
    with (
        messages.open("wb") as file,
        subprocess.Popen(
            watched,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | _ONE_THREAD,
            start_new_session=True,
        ) as process,
    ):
        try:
            status = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise ScanError(
                f"{Path(command[0]).name} was still at work after {limit_seconds / 60:g} minutes "
                "and was stopped",
                "try it on this scan by hand, or give a mask_path",
                kind="tool",
            ) from None
        finally:
            # Also what the program left behind when it ended by itself.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return f"{_ending(status)}{_last_words(messages)}"


@lru_cache(maxsize=8)
def program_version(command: Path) -> str | None:
    """The program's version: FreeSurfer's, where it is a part of it, or what `--version` says."""
    stamp = command.resolve().parent.parent / "build-stamp.txt"
    if stamp.is_file():
        return stamp.read_text(encoding="utf-8", errors="replace").strip()[:80] or None
    with contextlib.suppress(subprocess.SubprocessError, OSError):
        said = subprocess.run(
            [command, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_LIMIT_SECONDS,
            check=True,
        ).stdout.decode(errors="replace")
        lines = said.strip().splitlines()
        if lines and any(character.isdigit() for character in lines[0]):
            return lines[0].strip()[:80]
    return None


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _last_words(messages: Path) -> str:
    lines = messages.read_bytes()[-4096:].decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f", its last words: {last[-_SHOWN_CHARACTERS:]}" if last else ""
