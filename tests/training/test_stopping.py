"""Signals: the first asks, a second Ctrl-C ends at once, whatever the process is doing."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from neurofm.training.stopping import stop_requests

_LONG_CALL = """
import ctypes, sys, time
from neurofm.training.stopping import stop_requests

def tell(line):
    sys.stderr.write(line + "\\n")
    sys.stderr.flush()

with stop_requests(tell) as stop:
    print("ready", flush=True)
    libc = ctypes.CDLL(None)  # one call in C, as a backward pass is
    libc.poll(None, 0, 3000)
    libc.poll(None, 0, int(sys.argv[1]))
    time.sleep(1)
    print("asked" if stop.is_set() else "not asked", stop.exit_status, flush=True)
"""


def _busy(milliseconds: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _LONG_CALL, str(milliseconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 75), (signal.SIGUSR1, 75), (signal.SIGINT, 130)]
)
def test_a_signal_asks_and_names_the_exit_status(number: signal.Signals, status: int) -> None:
    """Case P3."""
    with stop_requests() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        for _ in range(200):
            if stop.is_set():
                break
            time.sleep(0.01)
        assert stop.is_set()
        assert stop.exit_status == status


def test_earlier_signal_handlers_come_back() -> None:
    """Case P3."""
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with stop_requests():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_second_ctrl_c_ends_the_process_within_a_long_call() -> None:
    """Case P4."""
    process = _busy(600_000)
    process.send_signal(signal.SIGINT)
    time.sleep(1.2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 130
    assert "SIGINT: saving after this step." in said
    assert "Interrupted; the same command" in said


def test_a_ctrl_c_that_torchrun_hands_on_is_the_same_request() -> None:
    """Case P4."""
    process = _busy(0)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "asked 130\n")
