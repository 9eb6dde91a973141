"""Where a run stands: with the seed, all that order of scans, views and learning rate depend on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Position:
    """How far a run has come; every random draw and the learning rate follow from it.

    Attributes:
        epoch: epochs finished.
        step_in_epoch: steps finished of the epoch under way; 0 between two epochs.
        step: steps finished in the whole run.
        skipped_steps: of these, left out because loss or gradient were not finite, or for a scan.
        skipped_in_a_row: the last so many of them.
        bad_scans: names of the scans that could not be used so far, each once.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    bad_scans: tuple[str, ...] = ()

    def after_step(self, is_skipped: bool, bad_scans: Iterable[str] = ()) -> Position:
        """One step further in the same epoch."""
        return replace(
            self,
            step_in_epoch=self.step_in_epoch + 1,
            step=self.step + 1,
            skipped_steps=self.skipped_steps + is_skipped,
            skipped_in_a_row=self.skipped_in_a_row + 1 if is_skipped else 0,
            bad_scans=tuple(dict.fromkeys([*self.bad_scans, *bad_scans])),
        )

    def after_epoch(self) -> Position:
        """At the beginning of the next epoch."""
        return replace(self, epoch=self.epoch + 1, step_in_epoch=0)
