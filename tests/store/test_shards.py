"""Shard files have their full size from the start and stand only when whole."""

from __future__ import annotations

import numpy as np
import pytest

from neurofm.store.shards import array_file


def test_blocks_come_back_memory_mapped(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 65536, (3, 4, 5, 6)).astype(np.uint16)
    with array_file(tmp_path / "a.npy", (4, 5, 6), np.uint16, 3) as file:
        for block in blocks:
            file.append(block)
    back = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert isinstance(back, np.memmap)
    assert np.array_equal(back, blocks)


def test_the_full_size_is_taken_from_the_disk_before_the_first_block(tmp_path):
    """Case F2: a disk that fills up later cannot kill a process that writes to mapped memory."""
    with array_file(tmp_path / "a.npy", (100, 100), np.uint16, 50):
        (unfinished,) = tmp_path.iterdir()
        assert unfinished.name != "a.npy"
        assert unfinished.stat().st_size >= 50 * 100 * 100 * 2
        assert unfinished.stat().st_blocks * 512 >= 50 * 100 * 100 * 2


def test_refused_blocks_shorten_the_file(tmp_path):
    with array_file(tmp_path / "a.npy", (4,), np.uint8, 12) as file:
        file.append(np.arange(4, dtype=np.uint8))
    back = np.load(tmp_path / "a.npy")
    assert back.tolist() == [[0, 1, 2, 3]]
    assert (tmp_path / "a.npy").stat().st_size == 128 + 4


def test_nothing_stands_after_an_exception(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        array_file(tmp_path / "a.npy", (4,), np.uint8, 2) as file,
    ):
        file.append(np.zeros(4, np.uint8))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
