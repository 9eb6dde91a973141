"""How a run is carried out: what may be kept, waited for and told, and changes no number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from neurofm.distributed import JOIN_SECONDS, TIMEOUT_SECONDS
from neurofm.errors import ConfigError
from neurofm.training.onlookers import NO_ONLOOKERS, Onlookers


@dataclass(frozen=True)
class Manner:
    """How a run is carried out; nothing here changes a number.

    Attributes:
        keep: checkpoints that stay.
        timeout_seconds: how long scans may take to come, and a process may keep others waiting.
        join_seconds: how long processes try to find each other.
        tell: given a line when a signal has come, from a thread, or when the precision asked for
            is a slow one or a transform of the views changes nothing.
        give_up: ends this process with a line, from a thread, when its own work is stuck.
        onlookers: who looks at the run between its epochs.
        threads: that read scans and make views; None chooses by the processors.

    Raises:
        ConfigError: no checkpoint is to stay, or no time is given.
    """

    keep: int = 2
    timeout_seconds: float = TIMEOUT_SECONDS
    join_seconds: float = JOIN_SECONDS
    tell: Callable[[str], None] = lambda _: None
    give_up: Callable[[str], None] = lambda _: None
    onlookers: Onlookers = NO_ONLOOKERS
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError("at least one checkpoint has to stay", "", f"--keep {self.keep}")
        if self.timeout_seconds <= 0 or self.join_seconds <= 0:
            raise ConfigError("has to be above 0", "", "--timeout-seconds or --join-seconds")
