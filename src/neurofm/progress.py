"""How long work tells the outside how far it is; the library itself prints nothing."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives the course of one piece of long work at a time."""

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        """Work on `total` units begins; `done` of them were finished by an earlier run."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more units are finished; `note` is a short live figure such as a loss."""

    def finish(self) -> None:
        """The work is over, complete or not."""


class SilentProgress:
    """Shows nothing: the default wherever a `Progress` can be given."""

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        """Do nothing."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""
