"""The loader's batches hold what was packed, in order, whatever the threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neurofm.config.preparation import StoreConfig
from neurofm.data.batch import StoredBatch
from neurofm.data.buffers import BufferPool
from neurofm.data.loader import ScanLoader
from neurofm.errors import StoreError
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store


@pytest.fixture
def store(derivatives: Path, tmp_path: Path) -> Store:
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return open_store(tmp_path / "store")


def test_a_batch_holds_the_packed_intensities_and_masks(store):
    (batch,) = ScanLoader(store).batches([[4, 1]], epoch=7)
    assert batch.images.shape == batch.masks.shape == (2, 1, 25, 32, 32)
    assert batch.images.dtype == torch.float32
    assert (batch.rows, batch.items, batch.epoch) == ((4, 1), ("fake/p02", "fake/p00"), 7)
    for position, row in enumerate(batch.rows):
        offset, step = store.scale(row)
        expected = offset + step * store.image(row).astype(np.float64)
        assert np.abs(batch.images[position, 0].numpy() - expected).max() < 1e-5
        assert np.array_equal(batch.masks[position, 0].numpy(), store.mask(row))


@pytest.mark.parametrize(("prefetch", "threads"), [(0, 1), (1, 1), (4, 3), (50, 2)])
def test_order_and_content_do_not_depend_on_prefetch_or_threads(store, prefetch, threads):
    plan = [[0, 1], [2, 3], [4, 0], [1], [3, 2]]
    loader = ScanLoader(store, prefetch=prefetch, threads=threads)
    kept = list(loader.batches(plan))
    assert [list(batch.rows) for batch in kept] == plan
    for batch in kept:  # all still alive: no buffer was given out twice
        for position, row in enumerate(batch.rows):
            offset, step = store.scale(row)
            expected = offset + step * store.image(row).astype(np.float32)
            assert np.allclose(batch.images[position, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("threads", [0, 1, 2, 4])
def test_stored_batches_decode_to_the_very_same_intensities_and_masks(store, threads):
    loader = ScanLoader(store, threads=threads)
    plan = [[0, 1], [4, 2]]
    for stored, plain in zip(loader.stored_batches(plan, 3), loader.batches(plan, 3), strict=True):
        assert stored.codes.dtype == torch.uint16
        decoded = stored.decoded_on("cpu")
        assert (decoded.rows, decoded.items, decoded.epoch) == (plain.rows, plain.items, 3)
        assert torch.equal(decoded.images, plain.images)
        assert torch.equal(decoded.masks, plain.masks)


def test_every_stored_number_decodes_exactly():
    codes = torch.arange(65536, dtype=torch.int32).to(torch.uint16).reshape(1, 16, 64, 64)
    bits = torch.from_numpy(np.packbits(codes[0].numpy() % 3 == 0))[None]
    batch = StoredBatch(codes, bits, ((0.0, 1.0),), (0,), ("c/0",), 0).decoded_on("cpu")
    assert torch.equal(batch.images.flatten(), torch.arange(65536).float())
    assert torch.equal(batch.masks.flatten(), torch.arange(65536) % 3 == 0)


def test_the_memory_of_a_batch_is_used_again_once_nothing_refers_to_it(store):
    places = set()
    for batch in ScanLoader(store, prefetch=1).batches([[0, 1]] * 20):
        places.add(batch.images.data_ptr())
    assert len(places) <= 4


def test_a_view_of_a_buffer_keeps_it_from_being_used_again():
    pool = BufferPool((3,), torch.float32)
    first = pool.take(4)
    row = first[1:2]
    row.fill_(5.0)
    del first
    second = pool.take(4).fill_(0.0)
    assert row.tolist() == [[5.0, 5.0, 5.0]]
    place = row.data_ptr() - 3 * 4
    del row
    assert pool.take(2).data_ptr() != place
    assert pool.take(4).data_ptr() == place
    assert second.shape == (4, 3)


def test_a_scan_that_cannot_be_read_is_named(store):
    (store.folder / "shards" / "00001-images.npy").unlink()
    batches = ScanLoader(store).batches([[0, 1], [2, 3], [4]])
    assert next(batches).rows == (0, 1)
    with pytest.raises(StoreError, match="fake_p01_s0"):
        next(batches)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_noted_scan_is_nan_in_its_batch_and_the_others_are_as_ever(store, threads):
    """Case P7."""
    plan = [[0, 1], [1, 2], [4]]
    whole = list(ScanLoader(open_store(store.folder)).batches(plan))
    (store.folder / "shards" / "00001-images.npy").unlink()
    loader = ScanLoader(store, threads=threads)
    decoded = [batch.decoded_on("cpu") for batch in loader.stored_batches(plan)]
    for batches in (loader.noted_batches(plan), decoded):
        first, second, third = batches
        assert (first.bad_scans, third.bad_scans) == ((), ())
        assert [scan.row for scan in second.bad_scans] == [2]
        assert "fake_p01_s0: cannot be read" in second.bad_scans[0].reason
        assert second.images[1].isnan().all()
        assert torch.equal(second.images[0], whole[1].images[0])
        assert torch.equal(first.images, whole[0].images)


def test_a_consumer_may_stop_early(store):
    batches = ScanLoader(store).batches([[0], [1], [2], [3]])
    next(batches)
    batches.close()
    assert list(batches) == []
