"""What tests give to scan processes instead of a scan's preparation: it obeys the path's name."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from neurofm.errors import RunError
from neurofm.preprocess.scan_process import THREAD_VARIABLES
from neurofm.preprocess.tasks import Outcome, Task


def get_ready() -> None:
    """Leave the number of this process in a file."""
    Path(os.environ["READY_FILE"]).write_text(str(os.getpid()), encoding="ascii")


def obey(task: Task) -> Outcome:
    """Do what the first word of the path's name says; "sub" and "threads" leave it in a file."""
    word = task.path.name.split("-")[0]
    if word == "hang":
        time.sleep(600)
    if word == "sub":
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(task.path).write_text(str(child.pid), encoding="ascii")
        child.wait()
    if word == "number":
        task.path.write_text(str(os.getpid()), encoding="ascii")
    if word == "threads":
        limits = [os.environ[name] for name in THREAD_VARIABLES]
        task.path.write_text(" ".join(limits), encoding="ascii")
    if word == "die" or (word == "once" and not task.path.exists()):
        task.path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "leave":
        os._exit(3)
    if word == "full":
        raise RunError("the disk is full")
    return Outcome(task.row, None, None)
