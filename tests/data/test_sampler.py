"""Every participant once an epoch; who and when depends on nothing else."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from neurofm.data.sampler import ParticipantSampler
from neurofm.errors import RunError


def index_of(participants: int, scans_each: int = 3) -> pd.DataFrame:
    rows = [
        {"scan_id": f"c_p{p:03d}_s{s}", "cohort": "c", "participant_id": f"p{p:03d}"}
        for p in range(participants)
        for s in range(scans_each)
    ]
    return pd.DataFrame(rows)


def scans(index: pd.DataFrame, rows: list[int]) -> list[str]:
    return index.loc[rows, "scan_id"].tolist()


def test_every_participant_is_seen_once_an_epoch():
    index = index_of(40)
    rows = ParticipantSampler(index, 0).epoch_rows(3)
    assert sorted(index.loc[rows, "participant_id"]) == sorted(index["participant_id"].unique())


def test_each_scan_is_drawn_about_equally_often():
    index = index_of(20)
    sampler = ParticipantSampler(index, 0)
    counts = Counter(row for epoch in range(300) for row in sampler.epoch_rows(epoch))
    assert set(counts) == set(range(60))
    assert all(60 < count < 140 for count in counts.values())


def test_epochs_and_seeds_differ_in_order_and_choice():
    index = index_of(40)
    first = ParticipantSampler(index, 0).epoch_rows(0)
    assert first == ParticipantSampler(index, 0).epoch_rows(0)
    assert first != ParticipantSampler(index, 0).epoch_rows(1)
    assert first != ParticipantSampler(index, 1).epoch_rows(0)


def test_the_order_of_the_index_does_not_matter():
    index = index_of(40)
    shuffled = index.sample(frac=1, random_state=2)
    renumbered = shuffled.reset_index(drop=True)
    expected = scans(index, ParticipantSampler(index, 0).epoch_rows(5))
    assert scans(shuffled, ParticipantSampler(shuffled, 0).epoch_rows(5)) == expected
    assert scans(renumbered, ParticipantSampler(renumbered, 0).epoch_rows(5)) == expected


def test_a_participant_more_changes_nothing_for_the_others():
    index, larger = index_of(40), index_of(41)
    expected = scans(index, ParticipantSampler(index, 0).epoch_rows(5))
    drawn = scans(larger, ParticipantSampler(larger, 0).epoch_rows(5))
    assert [scan for scan in drawn if "p040" not in scan] == expected


def test_a_selection_of_the_index_keeps_the_rows_of_the_store():
    index = index_of(10)
    chosen = index[index["participant_id"].isin(["p003", "p007"])]
    rows = ParticipantSampler(chosen, 0).epoch_rows(0)
    assert set(index.loc[rows, "participant_id"]) == {"p003", "p007"}


def test_equal_ids_of_two_cohorts_are_two_participants():
    index = pd.concat([index_of(3), index_of(3).assign(cohort="d")], ignore_index=True)
    assert len(ParticipantSampler(index, 0)) == 6


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
def test_any_number_of_processes_sees_the_same_batches(world_size):
    """Cases P12 and P13."""
    sampler = ParticipantSampler(index_of(40), 0)
    whole = sampler.batches(2, 12)
    parts = [sampler.batches(2, 12, world_size, rank) for rank in range(world_size)]
    assert {len(part) for part in parts} == {3}
    for number, batch in enumerate(whole):
        assert [row for part in parts for row in part[number]] == batch


def test_the_rest_that_fills_no_batch_is_left_out():
    sampler = ParticipantSampler(index_of(40), 0)
    batches = sampler.batches(0, 12)
    assert [len(batch) for batch in batches] == [12, 12, 12]
    assert [row for batch in batches for row in batch] == sampler.epoch_rows(0)[:36]
    assert len(sampler.batches(0, 40)) == 1


def test_impossible_batches_stop_with_a_mend():
    """Case 84."""
    sampler = ParticipantSampler(index_of(5), 0)
    with pytest.raises(RunError, match=r"use training\.batch_size=5 or less"):
        sampler.batches(0, 6)
    with pytest.raises(RunError, match="multiple of 2"):
        sampler.batches(0, 3, world_size=2)


def test_an_epoch_of_scans_holds_every_scan_once_in_an_order_of_its_own():
    index = index_of(20)
    sampler = ParticipantSampler(index, 0, "scans")
    assert len(sampler) == 60
    assert sorted(sampler.epoch_rows(0)) == list(range(60))
    assert sampler.epoch_rows(0) != sampler.epoch_rows(1)
    shuffled = index.sample(frac=1, random_state=2)
    expected = scans(index, sampler.epoch_rows(4))
    assert scans(shuffled, ParticipantSampler(shuffled, 0, "scans").epoch_rows(4)) == expected
    with pytest.raises(RunError, match="60 scans do not fill"):
        sampler.batches(0, 61)


def test_the_second_scan_is_another_one_of_the_participant_each_equally_often():
    index = index_of(30, scans_each=4)
    sampler = ParticipantSampler(index, 0)
    counts: Counter[tuple[int, int]] = Counter()
    for epoch in range(60):
        for row in sampler.epoch_rows(epoch):
            second = sampler.second_row(epoch, row)
            assert second != row
            assert index.at[second, "participant_id"] == index.at[row, "participant_id"]
            counts[row % 4, second % 4] += 1
    assert len(counts) == 12
    assert all(100 < count < 200 for count in counts.values())


def test_a_participant_with_one_scan_is_its_own_positive():
    sampler = ParticipantSampler(index_of(5, scans_each=1), 0)
    assert [sampler.second_row(0, row) for row in range(5)] == list(range(5))


def test_the_second_scan_comes_from_the_rows_that_may_be_seen():
    index = index_of(10, scans_each=3)
    seen = index[~index["scan_id"].str.endswith("s1")]
    sampler = ParticipantSampler(seen, 0)
    seconds = {sampler.second_row(epoch, row) for epoch in range(20) for row in seen.index}
    assert seconds == set(seen.index)
