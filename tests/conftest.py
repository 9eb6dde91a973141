"""Fixtures of all tests; jaxtyping's shapes are checked while they run."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import pytest

# Every annotated shape in the tensor packages is checked at each call made by a test.
_HOOK = jaxtyping.install_import_hook(
    [
        "neurofm.data",
        "neurofm.augment",
        "neurofm.models",
        "neurofm.objectives",
        "neurofm.training",
    ],
    "beartype.beartype",
)

_SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans and reference values, where this machine has it."""
    if not _SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which only developers have")
    return _SHARED
