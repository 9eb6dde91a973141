"""A small process between neurofm and an outside program, which ends the program with neurofm.

It is started as a script, leads a session of its own, and reads its standard input, on which
nothing ever comes: when that ends, whoever started it is gone, even if killed, and it kills
everything in the session.
"""

import os
import resource
import signal
import subprocess
import sys
import threading

CANNOT_START = 127


def main(command: list[str]) -> int:
    """Run `command`; end as it ends, by the same exit status or the same signal."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.Thread(target=_kill_all_when_alone, daemon=True).start()
    try:
        status = subprocess.call(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stdout.write(f"cannot be started: {error.strerror}\n")
        return CANNOT_START
    if status < 0:
        if -status not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def _kill_all_when_alone() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # At once, because the thread is still waiting for the end of the input.
    os._exit(code)
