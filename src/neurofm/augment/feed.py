"""Batches on their way to training, with their views; a scan that cannot be used is noted."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import torch

from neurofm.augment.draws import ViewKey, draw_for
from neurofm.augment.views import draw_views, no_usable_view
from neurofm.config.learning import ViewsConfig
from neurofm.data.ahead import Order, complete_ahead
from neurofm.data.batch import BadScan, Batch
from neurofm.data.loader import ScanLoader
from neurofm.errors import ScanError, StoreError
from neurofm.store.reader import Store

_MAX_THREADS = 8  # more only wait for memory
_NO_NUMBA = "numba is not installed: views are made by torch, several times slower"


class ViewFeed:
    """Gives every batch of an epoch with the views that an objective asks `make_views` for.

    On a CPU the views are made beforehand, straight from the stored numbers, by compiled code in
    threads while the network trains. For a GPU the scans are sent as stored, decoded and made into
    views there. Both draw the same views, whatever the threads. A scan that cannot be read, or
    gives no usable view, is NaN and in its batch's `bad_scans`.

    Args:
        store: an open store.
        config: the views' probabilities and ranges.
        seed: the recipe's seed.
        device: where the batches are wanted.
        num_views: how many of each scan the objective asks for; with 0 it gets scans only.
        second_row: the row whose scan the second view is made of, by epoch and row; None for the
            scan of the first.
        prefetch: batches prepared ahead; each view of one on a CPU takes 5 bytes a voxel.
        threads: at work on them, 0 for none beside the caller; None chooses by the processors.

    Attributes:
        note: what a user should know about speed; may be empty.
    """

    def __init__(
        self,
        store: Store,
        config: ViewsConfig,
        seed: int,
        device: torch.device,
        *,
        num_views: int = 2,
        second_row: Callable[[int, int], int] | None = None,
        prefetch: int = 1,
        threads: int | None = None,
    ) -> None:
        self._config, self._seed, self._spacing_mm = config, seed, store.spacing_mm
        self._device, self._num_views = device, num_views
        self._second_row = second_row if num_views > 1 else None
        self._prefetch = prefetch
        self._threads = _default_threads() if threads is None else threads
        self._on_gpu = device.type != "cpu"
        self._loader = ScanLoader(store, prefetch, self._threads, pinned=device.type == "cuda")
        is_compiled = find_spec("numba") is not None
        self._draws_ahead = bool(num_views) and is_compiled and not self._on_gpu
        self.note = "" if is_compiled or self._on_gpu or not num_views else _NO_NUMBA

    def batches(self, row_batches: Iterable[Sequence[int]], epoch: int) -> Iterator[Batch]:
        """One batch on the device for each list of rows, in their order."""
        if self._draws_ahead:
            orders = (self._order(tuple(rows), epoch) for rows in row_batches)
            return complete_ahead(orders, self._prefetch, self._threads)
        if self._second_row is not None:
            return map(self._with_views, self._with_second_scans(row_batches, epoch))
        return map(self._with_views, self._scans(row_batches, epoch))

    def _scans(self, row_batches: Iterable[Sequence[int]], epoch: int) -> Iterator[Batch]:
        if self._on_gpu:
            stored = self._loader.stored_batches(row_batches, epoch)
            return (batch.decoded_on(self._device) for batch in stored)
        return self._loader.noted_batches(row_batches, epoch)

    def _with_second_scans(
        self, row_batches: Iterable[Sequence[int]], epoch: int
    ) -> Iterator[Batch]:
        pairs = ((rows, self._rows_of(1, rows, epoch)) for rows in row_batches)
        scans = self._scans((rows for pair in pairs for rows in pair), epoch)
        return (replace(first, second=next(scans)) for first in scans)

    def _with_views(self, batch: Batch) -> Batch:
        """The views that torch makes of the scans, where they are; they take the scans' place."""
        notes = [*batch.bad_scans, *(batch.second.bad_scans if batch.second else ())]
        views = []
        for number in range(self._num_views):
            view, unusable = draw_views(batch, self._config, self._seed, number, self._spacing_mm)
            for place in unusable:
                view.images[place], view.masks[place] = math.nan, False
                reason = str(no_usable_view(view.items[place], self._config))
                notes.append(BadScan(view.rows[place], reason))
            views.append(replace(view, second=None))
        first = views[0] if views else batch
        return replace(first, views=tuple(views)).with_bad_scans(notes)

    def _rows_of(self, view: int, rows: Sequence[int], epoch: int) -> tuple[int, ...]:
        if view == 0 or self._second_row is None:
            return tuple(rows)
        return tuple(self._second_row(epoch, row) for row in rows)

    def _order(self, rows: tuple[int, ...], epoch: int) -> Order[Batch, BadScan | None]:
        views = tuple(
            self._loader.empty_batch(self._rows_of(view, rows, epoch), epoch)
            for view in range(self._num_views)
        )
        jobs = [
            partial(
                self._draw,
                batch.rows[i],
                (batch.items[i], epoch, view),
                batch.images[i, 0].numpy(),
                batch.masks[i, 0].numpy(),
            )
            for i in range(len(rows))
            for view, batch in enumerate(views)
        ]
        return Order(jobs, replace(views[0], views=views).with_bad_scans)

    def _draw(
        self,
        row: int,
        wanted: tuple[str, int, int],
        image: npt.NDArray[np.float32],
        mask: npt.NDArray[np.bool_],
    ) -> BadScan | None:
        """Draw until a view is usable, as `draw_views` does."""
        try:
            self._draw_usable(row, wanted, image, mask)
        except (StoreError, ScanError) as error:
            image[...], mask[...] = np.nan, False
            return BadScan(row, str(error))
        return None

    def _draw_usable(
        self,
        row: int,
        wanted: tuple[str, int, int],
        image: npt.NDArray[np.float32],
        mask: npt.NDArray[np.bool_],
    ) -> None:
        from neurofm.augment.cpu_views import draw_stored

        item, epoch, view = wanted
        scan = self._loader.scan(row)
        for attempt in range(self._config.max_redraws + 1):
            key = ViewKey(self._seed, epoch, item, view, attempt)
            draw = draw_for(key, self._config, scan.codes.shape, self._spacing_mm)
            if draw_stored(scan, draw, image, mask):
                return
        raise no_usable_view(item, self._config)


def _default_threads() -> int:
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        usable = os.cpu_count() or 1
    return min(_MAX_THREADS, usable)
