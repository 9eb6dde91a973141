"""Names of weights: what the command line may say, and which may share one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurofm.errors import ConfigError
from neurofm.evaluation.baselines import AS_TRAINED, PRETRAINED, PROBED
from neurofm.evaluation.given import Given, open_runs, parse_given, probe_name


def test_weights_are_a_folder_or_a_name_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "lr=3").mkdir()
    assert parse_given("runs/a") == (None, "runs/a")
    assert parse_given("My model=runs/a") == ("My model", "runs/a")
    assert parse_given("m=runs/lr=3") == ("m", "runs/lr=3")
    assert parse_given(str(tmp_path / "lr=3")) == (None, str(tmp_path / "lr=3"))
    assert parse_given("hf://lab/brain@a=b") == (None, "hf://lab/brain@a=b")
    assert parse_given("m=hf://lab/brain@v1") == ("m", "hf://lab/brain@v1")
    for text in ("=runs/a", "name="):
        with pytest.raises(ConfigError, match="NAME=REF"):
            parse_given(text)


def test_one_set_of_weights_has_the_usual_name_and_several_have_their_folders(kit: Any) -> None:
    one, two = kit.simclr("one"), kit.simclr("two", seed=1)
    head = kit.supervised("head", "sex")
    assert [run.model for run in open_runs([Given(one)])] == [PRETRAINED]
    assert [run.model for run in open_runs([Given(head)])] == [AS_TRAINED]
    assert [run.model for run in open_runs([Given(one), Given(two, "b")])] == ["one", "b"]
    assert (probe_name(AS_TRAINED), probe_name("b")) == (PROBED, f"b, {PROBED}")


def test_weights_of_one_name_are_repeats_of_one_model(kit: Any) -> None:
    one, head = kit.simclr("one"), kit.supervised("head", "sex")
    wide = kit.simclr("wide", encoder={"widths": [4, 8, 8, 24]})
    cases = [
        ([Given(one, "a"), Given(head, "a")], "has a head"),
        ([Given(head, "a"), Given(one, "a")], "has no head"),
        ([Given(one, "a"), Given(wide, "a")], "has another encoder"),
        ([Given(one, "a"), Given(one, "b")], "the same weights"),
        ([Given(one, "site only")], "name of a baseline"),
        ([], "names no weights"),
    ]
    for given, words in cases:
        with pytest.raises(ConfigError, match=words) as told:
            open_runs(given)
        assert "\n" not in str(told.value)
