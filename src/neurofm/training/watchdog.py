"""Who is told what a process is doing, so that one that stands still can be named."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Watch(Protocol):
    """Receives where a process is in its work."""

    def at(self, step: int, doing: str) -> None:
        """This process has come to `doing` in a step; the words are shown if it stays there."""


class SilentWatch:
    """Watches nothing."""

    def at(self, step: int, doing: str) -> None:
        """Do nothing."""
