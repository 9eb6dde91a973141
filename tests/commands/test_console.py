from __future__ import annotations

import pytest

from neurofm.commands.console import BarProgress


def test_the_bar_says_what_is_worked_on_how_far_it_is_and_how_fast(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = BarProgress()
    bar.start("preprocessing", 4, "scan", done=1)
    bar.advance()
    bar.advance(note="1 failed")
    bar.finish()
    said = capsys.readouterr()
    assert said.out == ""
    assert "preprocessing" in said.err
    assert "3/4" in said.err
    assert "1 failed" in said.err
    bar.advance()
    assert capsys.readouterr().err == ""
