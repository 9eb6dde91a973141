"""Seen participants are recognised by hashes alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import LeakageError
from neurofm.models.card import Card, CohortCount
from neurofm.models.overlap import count_cohorts, hash_participants, new_salt, overlap
from neurofm.models.suitability import check_overlap


def _frame(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["cohort", "participant_id", "sha256"])


def _card(participants: list[str], scans: list[str]) -> Card:
    salt = new_salt()
    return Card(
        encoder=ResNetConfig(),
        features=512,
        spacing_mm=1.0,
        participant_salt=salt,
        participant_hashes=tuple(hash_participants(participants, salt)),
        scan_hashes=tuple(hash_participants(scans, salt)),
    )


def test_a_participant_seen_before_is_found_by_name() -> None:
    card = _card(["ixi/012", "ixi/013"], [])
    assert overlap(card, _frame(("ixi", "012", "aa"), ("adni", "012", "bb"))) == ["ixi/012"]


def test_a_scan_seen_before_is_found_under_another_name() -> None:
    card = _card(["ixi/012"], ["aa"])
    assert overlap(card, _frame(("other", "7", "aa"), ("other", "8", "bb"))) == ["other/7"]


def test_a_card_without_hashes_overlaps_with_nobody() -> None:
    assert overlap(_card([], []), _frame(("ixi", "012", "aa"))) == []


def test_an_index_without_checksums_is_compared_by_name() -> None:
    frame = _frame(("ixi", "012", "aa")).drop(columns="sha256")
    assert overlap(_card(["ixi/012"], ["aa"]), frame) == ["ixi/012"]


def test_the_card_holds_no_participant_name() -> None:
    assert "012" not in _card(["ixi/sub-012345678901234567890"], []).model_dump_json().replace(
        "0", ""
    )


def test_other_salts_give_other_hashes() -> None:
    assert hash_participants(["ixi/012"], "a") != hash_participants(["ixi/012"], "b")


def test_cohorts_are_counted_by_participant_and_scan() -> None:
    frame = _frame(("ixi", "1", "a"), ("ixi", "1", "b"), ("adni", "1", "c"))
    assert count_cohorts(frame) == (
        CohortCount(cohort="adni", participants=1, scans=1),
        CohortCount(cohort="ixi", participants=1, scans=2),
    )


def test_two_hundred_tables_apart_from_pretraining_pass_and_two_hundred_overlapping_do_not() -> (
    None
):
    """Case 91."""
    for number in range(200):
        rng = np.random.default_rng(number)
        seen = [f"A/{person}" for person in rng.choice(50, 10, replace=False)]
        files = [f"file{place}" for place in range(10)]
        card = _card(seen, files)
        apart = [(f"{'AB'[row % 2]}", str(50 + row), f"new{row}") for row in range(12)]
        assert check_overlap(card, _frame(*apart), allowed=False) == (0, ())
        person, file = str(rng.choice(seen)).removeprefix("A/"), str(rng.choice(files))
        leak = ("A", person, "other") if number % 2 else ("B", "x", file)
        with pytest.raises(LeakageError, match="1 participants to be evaluated were seen"):
            check_overlap(card, _frame(*apart, leak), allowed=False)
