"""Overlap of any kind is refused, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS, participant_keys
from neurofm.cohorts.leakage import refuse_overlap, refuse_torn_split
from neurofm.errors import LeakageError

_SIDES = ("pretrain", "train", "held-out-train", "validation", "test", "held-out", "unused")
_TABLES = 200


def clean_table(rng: np.random.Generator) -> pd.DataFrame:
    """People of two cohorts with one to three scans, one scan twice on disk, each on one side."""
    people = int(rng.integers(8, 40))
    visits = rng.integers(1, 4, people)
    side = rng.choice(_SIDES, people)
    side[:2] = ["pretrain", "test"]
    who = np.repeat(np.arange(people), visits)
    frame = pd.DataFrame(
        {
            "scan_id": [f"s{row}" for row in range(len(who))],
            "cohort": np.where(who % 2, "A", "B"),
            # Equal numbers in two cohorts are two people.
            "participant_id": [f"{person // 2:03d}" for person in who],
            "session_id": [f"{visit}" for count in visits for visit in range(count)],
            "path": "x.nii",
            "bytes": 1,
            "sha256": [f"file{row}" for row in range(len(who))],
            "split": side[who],
        }
    ).reindex(columns=list(COLUMNS))
    twin = frame.sample(1, random_state=int(rng.integers(1000)))
    copy = twin.assign(scan_id="copy", session_id="copy")
    return pd.concat([frame, copy], ignore_index=True).sample(frac=1, random_state=1)


def another(side: str, rng: np.random.Generator) -> str:
    return str(rng.choice([other for other in _SIDES[:-1] if other != side]))


def used_row(frame: pd.DataFrame, rng: np.random.Generator) -> pd.Series:
    return frame[frame["split"] != "unused"].sample(1, random_state=int(rng.integers(1000))).iloc[0]


def with_a_participant_twice(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    row = used_row(frame, rng)
    more = row.to_frame().T.assign(scan_id="more", sha256="other", split=another(row["split"], rng))
    return pd.concat([frame, more], ignore_index=True)


def with_a_visit_apart(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    keys = participant_keys(frame)
    used = frame["split"] != "unused"
    several = keys[used].value_counts()
    person = several.index[several > 1][0]
    place = frame.index[(keys == person) & used][0]
    side = another(frame.loc[place, "split"], rng)
    return frame.assign(split=frame["split"].where(frame.index != place, side))


def with_a_copied_file(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    row = used_row(frame, rng)
    others = frame[(frame["split"] != row["split"]) & (frame["split"] != "unused")]
    place = others.index[int(rng.integers(len(others)))]
    return frame.assign(sha256=frame["sha256"].where(frame.index != place, row["sha256"]))


def with_a_scan_left_to_pretraining(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    held = frame[~frame["split"].isin(["pretrain", "unused"])]
    row = held.iloc[int(rng.integers(len(held)))]
    more = row.to_frame().T.assign(scan_id="more", sha256="other", split=None)
    return pd.concat([frame, more], ignore_index=True)


_INJECTIONS: tuple[Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame], ...] = (
    with_a_participant_twice, with_a_visit_apart, with_a_copied_file,
    with_a_scan_left_to_pretraining,
)  # fmt: skip


def test_two_hundred_clean_tables_pass_and_two_hundred_with_an_overlap_are_refused() -> None:
    """Cases 86, 87 and 88."""
    for number in range(_TABLES):
        rng = np.random.default_rng(number)
        frame = clean_table(rng)
        refuse_torn_split(frame)
        torn = _INJECTIONS[number % len(_INJECTIONS)](frame, rng)
        with pytest.raises(LeakageError):
            refuse_torn_split(torn)


def test_the_message_names_people_and_parts() -> None:
    frame = clean_table(np.random.default_rng(0)).assign(split="test")
    place = frame.index[frame["participant_id"] == "000"][0]
    sides = frame["split"].where(frame.index != place, "train")
    frame = frame.assign(sha256=None)
    person = participant_keys(frame)[place]
    if (participant_keys(frame) == person).sum() == 1:
        frame = pd.concat([frame, frame.loc[[place]]])
        sides = pd.concat([sides, pd.Series(["test"], index=[place])])
    with pytest.raises(LeakageError, match=f"{person}: .* \\('test' and 'train'\\); correct"):
        refuse_overlap(frame.reset_index(drop=True), sides.reset_index(drop=True))


def test_an_index_without_a_split_has_no_overlap() -> None:
    frame = clean_table(np.random.default_rng(0)).assign(split=None)
    refuse_torn_split(frame)
    assert frame["split"].isna().all()
