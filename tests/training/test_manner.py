"""Flags that could harm a run are refused."""

from __future__ import annotations

import pytest

from neurofm.errors import ConfigError
from neurofm.training.manner import Manner


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"keep": 0}, "--keep 0: at least one checkpoint has to stay"),
        ({"timeout_seconds": 0.0}, "--timeout-seconds .* above 0"),
        ({"join_seconds": -1.0}, "--join-seconds: has to be above 0"),
    ],
)
def test_a_flag_that_cannot_work_is_refused(flags: dict[str, float], message: str) -> None:
    """Case 95."""
    with pytest.raises(ConfigError, match=message):
        Manner(**flags)
