"""Opening is quick and honest; reading makes no copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurofm.config.preparation import StoreConfig
from neurofm.errors import StoreError
from neurofm.store.packing import pack
from neurofm.store.reader import open_store


@pytest.fixture
def folder(derivatives: Path, tmp_path: Path) -> Path:
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return tmp_path / "store"


def test_images_are_read_only_views_of_the_file(folder):
    store = open_store(folder)
    first, again, neighbour = store.image(2), store.image(2), store.image(3)
    assert first.dtype == np.uint16
    assert not first.flags.owndata
    assert not first.flags.writeable
    assert np.shares_memory(first, again)
    assert neighbour.ctypes.data - first.ctypes.data == first.nbytes


def test_missing_text_labels_are_none(folder):
    index = open_store(folder).index
    assert index["diagnosis"].tolist() == [None] * 5
    assert index["sex"].tolist() == ["F", "F", "M", "M", "F"]


def test_a_mask_costs_one_bit_a_voxel(folder):
    assert (folder / "shards" / "00000-masks.npy").stat().st_size == 128 + 2 * 25 * 32 * 32 // 8


def test_a_folder_without_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="not a finished store"):
        open_store(tmp_path)


@pytest.mark.parametrize("name", ["shards/00001-images.npy", "shards/00000.json", "index.parquet"])
def test_a_missing_or_short_file_is_named(folder, name):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1])
    with pytest.raises(StoreError, match=f"{name}.*bytes instead of"):
        open_store(folder)
    (folder / name).unlink()
    with pytest.raises(StoreError, match=f"{name}.*missing"):
        open_store(folder)


@pytest.mark.parametrize("name", ["index.parquet", "preprocessing.json", "store.json"])
def test_a_flipped_bit_in_labels_or_contract_is_found_at_opening(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 4
    (folder / name).write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        open_store(folder)


def test_a_shard_with_a_damaged_header_is_named_when_read(folder):
    path = folder / "shards" / "00001-images.npy"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"<u2", b"<i2"))
    store = open_store(folder)
    assert store.image(0).shape == (25, 32, 32)
    with pytest.raises(StoreError, match="00001-images"):
        store.image(2)
