"""Who is seen when: every participant once an epoch, by one of their scans, or by all of them."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.errors import RunError
from neurofm.seeds import seed_of


class ParticipantSampler:
    """Draws one scan of each participant an epoch (paper, section 4.2), or takes every scan.

    The place of a participant in an epoch and the scan drawn depend on the seed, the epoch and
    the participant alone: not on the order of the index, other participants, workers or processes.
    An epoch of scans holds participants as often as they have scans, perhaps twice in a batch.

    Args:
        index: rows to draw from; its pandas index (the row labels) are the rows of the store, so
            a selection such as `store.index[store.index["split"] == "pretrain"]` can be given.
        seed: the recipe's seed.
        epoch_of: "participants", each once (paper), or "scans", each once (released code).
    """

    def __init__(
        self,
        index: pd.DataFrame,
        seed: int,
        epoch_of: Literal["participants", "scans"] = "participants",
    ) -> None:
        self._seed, self._epoch_of = seed, epoch_of
        self._scans: dict[str, list[int]] = {}
        ordered = index.assign(key=participant_keys(index)).sort_values("scan_id")
        for row, key in zip(ordered.index.tolist(), ordered["key"].tolist(), strict=True):
            self._scans.setdefault(str(key), []).append(int(row))
        self._people = {row: item for item, rows in self._scans.items() for row in rows}
        self._names = dict(zip(ordered.index.tolist(), ordered["scan_id"].tolist(), strict=True))

    def __len__(self) -> int:
        """Rows of an epoch: participants, or scans."""
        return len(self._scans) if self._epoch_of == "participants" else len(self._people)

    def epoch_rows(self, epoch: int) -> list[int]:
        """Rows of an epoch in their order: each participant once, or each scan once."""
        if self._epoch_of == "scans":
            return sorted(self._names, key=lambda row: self._place(epoch, str(self._names[row])))
        people = sorted(self._scans, key=lambda item: self._place(epoch, item))
        return [self._draw(epoch, item) for item in people]

    def second_row(self, epoch: int, row: int) -> int:
        """Another scan of the participant of a row, drawn at random; the same where there is none.

        Args:
            epoch: from 0.
            row: the scan the first view is made of.
        """
        item = self._people[row]
        others = [scan for scan in self._scans[item] if scan != row]
        if not others:
            return row
        return others[seed_of("second scan", self._seed, epoch, item) % len(others)]

    def batches(
        self, epoch: int, batch_size: int, world_size: int = 1, rank: int = 0
    ) -> list[list[int]]:
        """Rows of this process's part of each full batch of an epoch.

        Args:
            epoch: from 0.
            batch_size: rows of a batch over all processes together.
            world_size: processes; each gets an equal part of every batch.
            rank: this process.

        Returns:
            as many lists on every rank; rows that fill no batch are left out this epoch.

        Raises:
            RunError: the batch cannot be shared evenly, or there are too few participants.
        """
        if batch_size % world_size:
            raise RunError(
                f"a batch of {batch_size} cannot be shared evenly by {world_size} processes",
                f"make it a multiple of {world_size}",
                "training.batch_size",
            )
        self.require_batch(batch_size)
        rows = self.epoch_rows(epoch)
        part = batch_size // world_size
        starts = range(0, len(rows) - batch_size + 1, batch_size)
        return [rows[start + rank * part : start + (rank + 1) * part] for start in starts]

    def require_batch(self, batch_size: int) -> None:
        """Raise a `RunError` where an epoch does not fill one batch."""
        if len(self) < batch_size:
            raise RunError(
                f"{len(self)} {self._epoch_of} do not fill a batch of {batch_size}",
                f"use training.batch_size={max(1, len(self))} or less, or more {self._epoch_of}",
                "training.batch_size",
            )

    def _place(self, epoch: int, name: str) -> tuple[int, str]:
        return seed_of("order", self._seed, epoch, name), name

    def _draw(self, epoch: int, item: str) -> int:
        scans = self._scans[item]
        if len(scans) == 1:
            return scans[0]
        return scans[seed_of("scan", self._seed, epoch, item) % len(scans)]
