"""Batches for training: the same views whatever the threads, from reused memory that is safe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neurofm.augment import feed as feed_module
from neurofm.augment.draws import ViewKey, draw_for
from neurofm.augment.feed import ViewFeed
from neurofm.augment.views import make_views
from neurofm.config.learning import ViewsConfig
from neurofm.config.preparation import StoreConfig
from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store

CPU = torch.device("cpu")
PLAN = [[0, 1], [2, 3], [4, 0], [1], [3, 2]]
VIEWS = ViewsConfig()


@pytest.fixture
def store(derivatives: Path, tmp_path: Path) -> Store:
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return open_store(tmp_path / "store")


def hold_everything(batches: list[Batch]) -> torch.Tensor:
    return torch.cat([view.images.flatten() for batch in batches for view in batch.views])


def test_views_made_beforehand_are_those_an_objective_would_make(store):
    batches = ViewFeed(store, VIEWS, 5, CPU).batches(PLAN, 3)
    plain = ScanLoader(store).batches(PLAN, 3)
    for ready, scans in zip(batches, plain, strict=True):
        assert (ready.rows, ready.items, ready.epoch) == (scans.rows, scans.items, 3)
        for view in (0, 1):
            ours = make_views(ready, VIEWS, 5, view, 6.0)
            theirs = make_views(scans, VIEWS, 5, view, 6.0)
            assert torch.equal(ours.masks, theirs.masks)
            assert (ours.images - theirs.images).abs().max() < 1e-3


@pytest.mark.parametrize(("prefetch", "threads"), [(0, 1), (1, 2), (3, 4), (50, 3)])
def test_views_do_not_depend_on_prefetch_or_threads(store, prefetch, threads):
    alone = list(ViewFeed(store, VIEWS, 5, CPU, prefetch=1, threads=0).batches(PLAN, 0))
    together = list(
        ViewFeed(store, VIEWS, 5, CPU, prefetch=prefetch, threads=threads).batches(PLAN, 0)
    )
    assert [batch.rows for batch in together] == [tuple(rows) for rows in PLAN]
    # all are still alive: no buffer was given out twice
    assert torch.equal(hold_everything(alone), hold_everything(together))


@pytest.mark.parametrize("items", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_draws_never_repeat_over_many_items(items):
    seen = set()
    for number in range(items // 2):
        for epoch in (0, 1):
            for view in (0, 1):
                key = ViewKey(0, epoch, f"c/{number}", view)
                draw = draw_for(key, VIEWS, (150, 192, 192), 1.0)
                seen.add((draw.crop_start, draw.crop_size, draw.shift, draw.gamma, draw.flip))
    # 4 % draw neither shift nor contrast: there only the box tells them apart
    assert len(seen) == 2 * items


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs Linux")
def test_batches_come_without_worker_processes_and_shared_memory(store):
    """Cases P5 and P8: no worker can be killed alone, a small /dev/shm does not matter."""
    before = helpers_of_this_process()
    for batch in ViewFeed(store, VIEWS, 0, CPU, threads=2).batches(PLAN, 0):
        assert not any(view.images.is_shared() for view in batch.views)
        assert helpers_of_this_process() <= before


def helpers_of_this_process() -> set[str]:
    """Its child processes, and what it has open in /dev/shm."""
    children = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {*" ".join(children).split(), *(line for line in lines if "/dev/shm" in line)}


def test_a_batch_in_use_is_never_written_to_and_a_free_one_is_used_again(store):
    kept, copies, places = [], [], set()
    for number, batch in enumerate(ViewFeed(store, VIEWS, 0, CPU, threads=2).batches(PLAN * 8, 0)):
        places.add(batch.views[1].images.data_ptr())
        if number % 4 == 0:
            kept.append(batch.views[0].images[0])  # a part keeps the whole
            copies.append(kept[-1].clone())
        del batch
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert len(places) <= 20  # of 80: those of the 10 kept batches, and of the few under way


def test_a_single_view_and_none_are_served_by_the_same_path(store):
    (one,) = ViewFeed(store, VIEWS, 5, CPU, num_views=1).batches([[2, 4]], 1)
    (two,) = ViewFeed(store, VIEWS, 5, CPU, num_views=2).batches([[2, 4]], 1)
    (none,) = ViewFeed(store, VIEWS, 5, CPU, num_views=0).batches([[2, 4]], 1)
    (plain,) = ScanLoader(store).batches([[2, 4]], 1)
    assert torch.equal(one.images, two.views[0].images)
    assert torch.equal(none.images, plain.images)
    assert none.views == ()


def test_a_view_without_brain_is_drawn_again_as_often_as_by_torch(store):
    config = ViewsConfig(min_crop_mm=(6.0, 6.0, 6.0), max_redraws=60)
    rows = [[0, 2]] * 12
    feed = ViewFeed(store, config, 1, CPU)
    redrawn = 0
    for epoch in range(12):
        (ready,) = feed.batches(rows[:1], epoch)
        (scans,) = ScanLoader(store).batches(rows[:1], epoch)
        theirs = make_views(scans, config, 1, 0, 6.0)
        assert torch.equal(ready.masks, theirs.masks)
        for item in ready.items:
            draw = draw_for(ViewKey(1, epoch, item, 0), config, store.shape, 6.0)
            redrawn += not _sees_brain(store, draw.crop_start, draw.crop_size)
    assert redrawn, "the test needs a first draw without brain"


def _sees_brain(store: Store, start: tuple[int, ...], size: tuple[int, ...]) -> bool:
    z, y, x = (slice(a, a + n) for a, n in zip(start, size, strict=True))
    return bool(store.mask(0)[z, y, x].any())


def views_of(feed: ViewFeed) -> list[list[torch.Tensor]]:
    """The images of each view of a batch of rows 0 and 2, by row."""
    (batch,) = feed.batches([[0, 2]], 0)
    assert batch.rows == (0, 2)
    return [[view.images[place] for view in batch.views] for place in (0, 1)]


@pytest.mark.parametrize("fault", ["no file", "no brain"])
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_scan_that_cannot_be_used_is_noted_and_nan_and_the_others_are_as_ever(
    store, monkeypatch, compiled, threads, fault
):
    """Case P7."""
    if not compiled:
        monkeypatch.setattr(feed_module, "find_spec", lambda _name: None)
    whole = views_of(ViewFeed(open_store(store.folder), VIEWS, 5, CPU))
    if fault == "no file":
        (store.folder / "shards" / "00001-images.npy").unlink()
    else:
        take_brain_of_row_2_away(store)
    feed = ViewFeed(store, VIEWS, 5, CPU, threads=threads)
    sound, bad = views_of(feed)
    assert all((a - b).abs().max() < 1e-3 for a, b in zip(sound, whole[0], strict=True))
    assert all(view.isnan().all() for view in bad)
    (batch,) = feed.batches([[0, 2]], 0)
    assert [scan.row for scan in batch.bad_scans] == [2]
    said = "fake_p01_s0: cannot be read" if fault == "no file" else "fake/p01: no usable view in 11"
    assert batch.bad_scans[0].reason.startswith(said)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_second_scan_that_cannot_be_used_is_noted(store, monkeypatch, compiled):
    """Case P7."""
    if not compiled:
        monkeypatch.setattr(feed_module, "find_spec", lambda _name: None)
    take_brain_of_row_2_away(store)
    (batch,) = ViewFeed(store, VIEWS, 5, CPU, second_row=other_scan).batches([[0, 3]], 0)
    assert [scan.row for scan in batch.bad_scans] == [2]
    assert batch.views[0].images.isfinite().all()
    assert batch.views[1].images[1].isnan().all()


def take_brain_of_row_2_away(store: Store) -> None:
    path = store.folder / "shards" / "00001-masks.npy"
    masks = np.load(path)
    masks[0] = 0
    np.save(path, masks)


def test_without_numba_torch_makes_the_same_views_and_a_note_says_so(store, monkeypatch):
    with_numba = ViewFeed(store, VIEWS, 5, CPU)
    monkeypatch.setattr(feed_module, "find_spec", lambda _name: None)
    without = ViewFeed(store, VIEWS, 5, CPU)
    assert with_numba.note == ""
    assert "numba" in without.note
    (ready,), (theirs,) = with_numba.batches([[0, 3]], 0), without.batches([[0, 3]], 0)
    for view, other in zip(ready.views, theirs.views, strict=True):
        assert torch.equal(view.masks, other.masks)
        assert (view.images - other.images).abs().max() < 1e-3


def other_scan(epoch: int, row: int) -> int:
    """Rows 2k and 2k + 1 of the store are of one participant; row 4 stands alone."""
    return row if row == 4 else row ^ 1


@pytest.mark.parametrize("compiled", [True, False])
def test_the_second_view_is_made_of_the_second_scan(compiled, store, monkeypatch):
    if not compiled:
        monkeypatch.setattr(feed_module, "find_spec", lambda _name: None)
    feed = ViewFeed(store, VIEWS, 5, CPU, second_row=other_scan)
    seconds = [[other_scan(0, row) for row in rows] for rows in PLAN]
    batches = feed.batches(PLAN, 2)
    both = [rows for pair in zip(PLAN, seconds, strict=True) for rows in pair]
    plain = ScanLoader(store).batches(both, 2)
    for rows, batch in zip(PLAN, batches, strict=True):
        first, second = next(plain), next(plain)
        assert batch.rows == tuple(rows)
        assert batch.items == first.items == second.items
        for view, scans in enumerate((first, second)):
            ours = make_views(batch, VIEWS, 5, view, 6.0)
            theirs = make_views(scans, VIEWS, 5, view, 6.0)
            assert ours.rows == scans.rows
            assert torch.equal(ours.masks, theirs.masks)
            assert (ours.images - theirs.images).abs().max() < 1e-3


def test_a_batch_moves_with_its_second_scans(store):
    feed = ViewFeed(store, VIEWS, 5, CPU, second_row=other_scan)
    (batch,) = feed.batches([[0, 2]], 0)
    moved = batch.to("meta")
    assert all(view.images.device.type == "meta" for view in moved.views)
    with_second = replace(batch, views=(), second=batch).to("meta")
    assert with_second.second is not None
    assert with_second.second.images.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_the_views_a_cpu_makes(store):
    (ready,) = ViewFeed(store, VIEWS, 5, CPU).batches([[0, 3]], 0)
    (sent,) = ViewFeed(store, VIEWS, 5, torch.device("cuda")).batches([[0, 3]], 0)
    views = make_views(sent, VIEWS, 5, 0, 6.0)
    assert torch.equal(views.masks.cpu(), ready.masks)
    assert (views.images.cpu() - ready.images).abs().max() < 1e-3
