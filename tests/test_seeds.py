"""Named random streams: equal keys equal draws, different keys unrelated draws."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from neurofm.seeds import random_stream, seed_of


def test_equal_keys_give_equal_draws() -> None:
    a = random_stream("views", 1, "p").random(5)
    assert np.array_equal(a, random_stream("views", 1, "p").random(5))


def test_keys_differ_by_value_type_and_split() -> None:
    keys = [("a", 1), ("a", "1"), ("a1",), ("a", 1, 0), (1, "a"), ("", "a", 1)]
    assert len({seed_of(*key) for key in keys}) == len(keys)


def test_a_seed_is_the_same_in_another_process() -> None:
    code = "from neurofm.seeds import seed_of; print(seed_of('order', 3, 'x'))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(printed.stdout) == seed_of("order", 3, "x")


def test_streams_of_neighbouring_epochs_are_uncorrelated() -> None:
    draws = np.stack([random_stream("e", epoch).standard_normal(2000) for epoch in range(8)])
    off_diagonal = np.corrcoef(draws)[np.triu_indices(8, 1)]
    assert np.abs(off_diagonal).max() < 0.1
