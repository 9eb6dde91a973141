"""What `neurofm pretrain` and `neurofm train` share: how a run is carried out, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from neurofm.commands.console import end_at_once, out, say_at_once

if TYPE_CHECKING:
    from neurofm.training.fit import Manner, Pretrained


def manner(keep: int, timeout_seconds: float, join_seconds: float) -> Manner:
    """How a run is carried out on the command line."""
    from neurofm.reports.onlookers import ONLOOKERS
    from neurofm.training.fit import Manner

    return Manner(keep, timeout_seconds, join_seconds, say_at_once, end_at_once, ONLOOKERS)


def finish(run: Callable[[], Pretrained], output: Path) -> int:
    """Carry a run out, say what a user should know, and give the exit status."""
    from neurofm.training.stopping import RunStoppedError

    try:
        done = run()
    except RunStoppedError as stopped:
        say_at_once(str(stopped))
        return stopped.exit_status
    if not out.quiet:
        say_at_once(*done.notes)
    out.print(f"Weights: {output / 'weights.safetensors'}", markup=False, soft_wrap=True)
    return 0
