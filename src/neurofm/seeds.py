"""Named random streams: every draw is a function of what it is for, never of who makes it."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(*key: str | int) -> int:
    """The 64-bit seed of a named stream, e.g. `seed_of("views", recipe_seed, epoch, item)`.

    Equal keys give equal seeds on every machine and in every process; keys that differ in any
    part, or in the split between parts, give unrelated seeds.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in key:
        data = f"{type(part).__name__}:{part}".encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return int.from_bytes(digest.digest(), "little")


def random_stream(*key: str | int) -> np.random.Generator:
    """A fresh NumPy generator at the start of the named stream `key` (see `seed_of`)."""
    return np.random.default_rng(seed_of(*key))
