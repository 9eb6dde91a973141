"""Pairs of views to look at: of a store's scans, or of phantoms where there is no store."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from neurofm.augment.crops import overlap, stretch_ratio
from neurofm.augment.draws import ViewDraw, ViewKey, draw_for
from neurofm.augment.views import finished_views, no_usable_view
from neurofm.config.recipe import Recipe
from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader
from neurofm.data.sampler import ParticipantSampler
from neurofm.reports.view_phantoms import phantom_batch
from neurofm.store.reader import Store
from neurofm.training.fit import seen_rows

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ShownView:
    """One view beside the scan it was made of, all "depth height width".

    Attributes:
        scan, scan_mask: the whole scan.
        draw: what was done to it.
        image, mask: the view, as the network gets it.
    """

    scan: Image
    scan_mask: Mask
    draw: ViewDraw
    image: Image
    mask: Mask

    @property
    def stretch(self) -> float:
        """Ratio of its most to its least stretched axis."""
        return float(stretch_ratio(np.asarray(self.draw.crop_size), _triple(self.scan.shape)))


@dataclass(frozen=True, eq=False)
class ShownPair:
    """The two views of one participant."""

    first: ShownView
    second: ShownView
    is_of_two_scans: bool

    @property
    def overlap(self) -> float:
        """Intersection over union of the two crops."""
        a, b = self.first.draw, self.second.draw
        boxes = (a.crop_start, a.crop_size, b.crop_start, b.crop_size)
        return float(overlap(*(np.asarray(box) for box in boxes)))


def sample_pairs(recipe: Recipe, store: Store | None, count: int) -> tuple[ShownPair, ...]:
    """The views that the first participants of the recipe's first epoch are seen by.

    Args:
        recipe: its seed and views, and without a store the spacing of its store.
        store: where the scans are; None for phantoms.
        count: how many participants.

    Raises:
        ConfigError: the store's spacing is not the recipe's.
        RunError: the store holds no scan that pre-training may see.
        ScanError: a scan gave no usable view.
        MissingDependencyError: phantoms are asked for and nilearn is not installed.
    """
    if store is None:
        batch, spacing_mm = phantom_batch(recipe, count), recipe.store.spacing_mm
    else:
        batch, spacing_mm = _scans(recipe, store, count), store.spacing_mm
    return tuple(_pair(recipe, batch, place, spacing_mm) for place in range(len(batch)))


def _pair(recipe: Recipe, batch: Batch, place: int, spacing_mm: float) -> ShownPair:
    second = batch if batch.second is None else batch.second
    return ShownPair(
        _shown(recipe, batch, place, 0, spacing_mm),
        _shown(recipe, second, place, 1, spacing_mm),
        is_of_two_scans=batch.rows[place] != second.rows[place],
    )


def _shown(recipe: Recipe, scans: Batch, place: int, view: int, spacing_mm: float) -> ShownView:
    """Draw until a view is usable, as `make_views` does, and keep the draw."""
    image, mask = scans.images[place : place + 1], scans.masks[place : place + 1]
    item, config = scans.items[place], recipe.views
    for attempt in range(config.max_redraws + 1):
        key = ViewKey(recipe.seed, scans.epoch, item, view, attempt)
        draw = draw_for(key, config, _triple(image.shape[2:]), spacing_mm)
        seen, moved, is_usable = finished_views(image, mask, [draw])
        if is_usable.item():
            volumes = (tensor[0, 0].numpy() for tensor in (image, mask, seen, moved))
            scan, scan_mask, shown, shown_mask = volumes
            return ShownView(scan, scan_mask, draw, shown, shown_mask)
    raise no_usable_view(item, config)


def _scans(recipe: Recipe, store: Store, count: int) -> Batch:
    sampler = ParticipantSampler(seen_rows(recipe, store), recipe.seed, recipe.views.epoch_of)
    rows = sampler.epoch_rows(0)[:count]
    second_rows = [sampler.second_row(0, row) for row in rows]
    first, second = ScanLoader(store).batches([rows, second_rows])
    return replace(first, second=second if recipe.views.positive == "second-scan" else None)


def _triple(shape: tuple[int, ...]) -> tuple[int, int, int]:
    depth, height, width = shape
    return depth, height, width
