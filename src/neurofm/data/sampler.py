"""Who is seen when: every participant once an epoch, one of their scans drawn at random."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.errors import RunError
from neurofm.seeds import seed_of


class ParticipantSampler:
    """Draws one scan of each participant an epoch (paper, section 4.2).

    The place of a participant in an epoch and the scan drawn depend on the seed, the epoch and
    the participant alone: not on the order of the index, other participants, workers or processes.

    Args:
        index: rows to draw from; its pandas index (the row labels) are the rows of the store, so
            a selection such as `store.index[store.index["split"] == "pretrain"]` can be given.
        seed: the recipe's seed.
    """

    def __init__(self, index: pd.DataFrame, seed: int) -> None:
        self._seed = seed
        self._scans: dict[str, list[int]] = {}
        ordered = index.assign(key=participant_keys(index)).sort_values("scan_id")
        for row, key in zip(ordered.index.tolist(), ordered["key"].tolist(), strict=True):
            self._scans.setdefault(str(key), []).append(int(row))

    def __len__(self) -> int:
        """Participants, which is also the number of rows of an epoch."""
        return len(self._scans)

    def epoch_rows(self, epoch: int) -> list[int]:
        """Rows of an epoch in their order: each participant once."""
        order = sorted(
            self._scans, key=lambda item: (seed_of("order", self._seed, epoch, item), item)
        )
        return [self._draw(epoch, item) for item in order]

    def batches(
        self, epoch: int, batch_size: int, world_size: int = 1, rank: int = 0
    ) -> list[list[int]]:
        """Rows of this process's part of each full batch of an epoch.

        Args:
            epoch: from 0.
            batch_size: participants of a batch over all processes together.
            world_size: processes; each gets an equal part of every batch.
            rank: this process.

        Returns:
            as many lists on every rank; participants that fill no batch are left out this epoch.

        Raises:
            RunError: the batch cannot be shared evenly, or there are too few participants.
        """
        if batch_size % world_size:
            raise RunError(
                f"a batch of {batch_size} cannot be shared evenly by {world_size} processes",
                f"make it a multiple of {world_size}",
                "training.batch_size",
            )
        if len(self) < batch_size:
            raise RunError(
                f"{len(self)} participants do not fill a batch of {batch_size}",
                f"use training.batch_size={max(1, len(self))} or less, or more participants",
                "training.batch_size",
            )
        rows = self.epoch_rows(epoch)
        part = batch_size // world_size
        starts = range(0, len(rows) - batch_size + 1, batch_size)
        return [rows[start + rank * part : start + (rank + 1) * part] for start in starts]

    def _draw(self, epoch: int, item: str) -> int:
        scans = self._scans[item]
        return scans[seed_of("scan", self._seed, epoch, item) % len(scans)]
