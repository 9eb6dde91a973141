"""One flipped bit anywhere in a store is found and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurofm.config.preparation import StoreConfig
from neurofm.errors import StoreError
from neurofm.store.packing import pack
from neurofm.store.verify import verify_store


@pytest.fixture
def folder(derivatives: Path, tmp_path: Path) -> Path:
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0, scans_per_shard=2))
    return tmp_path / "store"


def flip(path: Path, place: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))


def test_an_undamaged_store_passes(folder):
    verify_store(folder)


def test_a_flipped_bit_anywhere_is_found_and_its_file_named(folder):
    rng = np.random.default_rng(0)
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    assert len(files) == 3 * 3 + 3
    for path in files:
        size = path.stat().st_size
        for place in (0, size - 1, *rng.integers(0, size, 6).tolist()):
            bit = int(rng.integers(8))
            flip(path, place, bit)
            with pytest.raises(StoreError, match=path.name):
                verify_store(folder)
            flip(path, place, bit)
    verify_store(folder)


@pytest.mark.parametrize(("kind", "block"), [("images", 25 * 32 * 32 * 2), ("masks", 25 * 32 * 4)])
def test_the_damaged_scan_of_a_shard_is_named(folder, kind, block):
    flip(folder / "shards" / f"00001-{kind}.npy", 128 + block + block // 2, 3)
    with pytest.raises(StoreError, match=rf"00001-{kind}\.npy \(fake_p01_s1\)"):
        verify_store(folder)


def test_a_damaged_header_and_a_missing_file_are_named(folder):
    flip(folder / "shards" / "00000-images.npy", 20, 0)
    (folder / "shards" / "00001-masks.npy").unlink()
    with pytest.raises(StoreError, match=r"00000-images\.npy.*00001-masks\.npy"):
        verify_store(folder)
