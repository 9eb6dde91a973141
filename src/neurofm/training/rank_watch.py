"""Processes that train together tell each other where they are; one lost or still ends all."""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from neurofm.distributed import collectives_entered, is_store_host, rank, world_size

_SECONDS_BETWEEN_WORDS = 0.5
_SECONDS_OF_SILENCE = 4.0  # once a connection broke: who says nothing for so long is gone
_SECONDS_TO_END = 3.0  # for the main thread, before the process is ended from here
_CONNECTING = timedelta(seconds=30)
_CAUSE = "cause"
_GO_ON = "the same command continues"


@dataclass
class _Other:
    """What was last heard of another process, by this one's own clock."""

    word: int
    heard: float
    moves: int
    moved: float
    place: str


class RankWatch:
    """Watches all processes from threads of its own, over a connection of its own.

    Every process puts down, twice a second, how often it has moved on: to another part of a step
    or into an exchange with the others. All move in the same order, so where one stands still, the
    others come to wait one move ahead of it. Clocks of different machines are never compared. One
    thread talks, and may have to wait for an answer for ever; the other one does not wait.

    Args:
        store: of the process group.
        timeout_seconds: how long a process may stand still while another waits for it.
        give_up: ends this process with a line; called from the thread when the main one is stuck.
    """

    def __init__(
        self, store: TCPStore, timeout_seconds: float, give_up: Callable[[str], None]
    ) -> None:
        own = TCPStore(store.host, store.port, None, False, _CONNECTING, wait_for_workers=False)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = PrefixStore(f"neurofm-watch-{attempt}", own)
        self._timeout_seconds, self._give_up = timeout_seconds, give_up
        self._rank, self._ranks = rank(), range(world_size())
        self._steps_taken, self._place = 0, "starting"
        self._others: dict[int, _Other] = {}
        self._words = 0
        self._ended, self._found = threading.Event(), threading.Event()
        self._cause, self._is_broken = "", False
        self._answered = time.monotonic()
        self._talker = threading.Thread(target=self._talk, daemon=True)
        self._talker.start()
        threading.Thread(target=self._end_if_over, daemon=True).start()

    def at(self, step: int, doing: str) -> None:
        """This process has come to `doing` in a step."""
        self._steps_taken += 1
        self._place = f"step {step}, {doing}"

    def fail(self, cause: str) -> None:
        """Tell the others that this process ends, and why; the first cause told counts."""
        self.close()
        if not self._talker.is_alive():
            with suppress(RuntimeError):  # nobody is left to tell
                self._accuse(self._rank, f"failed: {cause}")
                self._wait_for_readers()

    def why_lost(self) -> str:
        """What ended the others, after an exchange with them has failed; ends the watch."""
        self._is_broken = True
        self._found.wait(3 * _SECONDS_OF_SILENCE)
        self.close()
        if not self._talker.is_alive():
            with suppress(RuntimeError):
                self._wait_for_readers()
        return self._cause or f"the connection to another process broke; {_GO_ON}"

    def close(self) -> None:
        """Stop watching: all processes are about to leave in order."""
        self._ended.set()
        self._talker.join(_SECONDS_TO_END)

    def _wait_for_readers(self) -> None:
        """Stay a little where the others still have to read the cause from this process."""
        self._store.set(f"read-{self._rank}", "")
        patience = time.monotonic() + _SECONDS_OF_SILENCE
        while is_store_host() and time.monotonic() < patience:
            if self._store.check([f"read-{each}" for each in self._ranks]):
                return
            time.sleep(0.1)

    def _talk(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_WORDS):
            try:
                cause = self._look()
            except RuntimeError:
                cause = f"process 0, or its machine, is gone; {_GO_ON}"
            self._answered = time.monotonic()
            if cause:
                self._cause = cause
                self._found.set()
                return

    def _end_if_over(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN_WORDS):
            silence = time.monotonic() - self._answered
            if silence > self._timeout_seconds and not self._found.is_set():
                place = f"process 0, where all meet, has not answered for {silence:.0f} s"
                self._cause = f"{place}: stopped, or the network is down; {_GO_ON}"
                self._found.set()
            if self._found.is_set():
                if not self._ended.wait(_SECONDS_TO_END):
                    self._give_up(self._cause)
                return

    def _look(self) -> str:
        """Say where this process is, hear where the others are; the cause once all is over."""
        self._words += 1
        moves = self._steps_taken + collectives_entered()
        mine = {"word": self._words, "moves": moves, "place": self._place, "host": platform.node()}
        self._store.set(f"at-{self._rank}", json.dumps(mine))
        keys = [f"at-{each}" for each in self._ranks]
        if not self._store.check([_CAUSE]) and self._store.check(keys):
            for each, said in zip(self._ranks, self._store.multi_get(keys), strict=True):
                self._hear(each, json.loads(said))
            self._judge()
        if not self._store.check([_CAUSE]):
            return ""
        cause = self._store.get(_CAUSE).decode()
        self._store.set(f"read-{self._rank}", "")
        return cause

    def _hear(self, each: int, said: dict[str, object]) -> None:
        now = time.monotonic()
        word, moves, place = int(str(said["word"])), int(str(said["moves"])), str(said["place"])
        known = self._others.get(each)
        if known is None:
            self._others[each] = _Other(word, now, moves, now, place)
            return
        if word != known.word:
            known.word, known.heard = word, now
        if moves != known.moves:
            known.moves, known.moved = moves, now
        known.place = place

    def _judge(self) -> None:
        now = time.monotonic()
        patience = _SECONDS_OF_SILENCE if self._is_broken else self._timeout_seconds
        for each, other in self._others.items():
            if now - other.heard > patience:
                seconds = f"{now - other.heard:.0f} s"
                self._accuse(
                    each, f"has said nothing for {seconds} ({other.place}): killed or stopped"
                )
                return
        behind = min(self._others, key=lambda each: self._others[each].moves)
        still = now - self._others[behind].moved
        is_waited_for = self._others[behind].moves < max(o.moves for o in self._others.values())
        if is_waited_for and still > self._timeout_seconds:
            place = self._others[behind].place
            self._accuse(behind, f"stood still for {still:.0f} s while others waited ({place})")

    def _accuse(self, each: int, what: str) -> None:
        key = f"at-{each}"
        host = json.loads(self._store.get(key))["host"] if self._store.check([key]) else "?"
        line = f"process {each} of {len(self._ranks)} on {host} {what}; {_GO_ON}"
        self._store.compare_set(_CAUSE, "", line)
