"""Nobody is on both sides, whatever the order of rows, visits and copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS, participant_keys, write_index
from neurofm.cohorts.splits import assign_splits, require_same_split, split_counts
from neurofm.config.preparation import SplitConfig
from neurofm.errors import LeakageError, TableError

FIFTH = SplitConfig(held_out_fraction=0.2)


def index(people: int = 100, visits: int = 2) -> pd.DataFrame:
    rows = [
        {
            "scan_id": f"c_{person:03}_{visit}",
            "cohort": "AB"[person % 2],
            "participant_id": f"{person:03}",
            "path": f"/x/{person}-{visit}.nii.gz",
            "age_years": 20.0 + person * 0.5 + visit,
            "sex": "FM"[(person // 2) % 2],
            "sha256": f"{person}-{visit}",
            "bytes": 1,
        }
        for person in range(people)
        for visit in range(visits)
    ]
    frame = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    return frame.astype({"split": object})


def sides(frame: pd.DataFrame) -> dict[str, str]:
    return dict(zip(frame["scan_id"], frame["split"], strict=True))


def test_all_visits_of_a_participant_are_on_one_side_and_the_share_is_right() -> None:
    """Case 88."""
    divided = assign_splits(index(), FIFTH, seed=0)
    assert divided.groupby(participant_keys(divided))["split"].nunique().eq(1).all()
    assert split_counts(divided) == {"held-out": (20, 40), "pretrain": (80, 160)}


def test_the_order_of_the_rows_does_not_matter_but_the_seed_does() -> None:
    frame = index()
    divided = assign_splits(frame, FIFTH, seed=0)
    assert sides(assign_splits(frame.sample(frac=1, random_state=3), FIFTH, 0)) == sides(divided)
    assert sides(assign_splits(frame, FIFTH, seed=1)) != sides(divided)
    assert frame["split"].isna().all()


def test_people_who_share_a_file_are_together_even_along_a_chain() -> None:
    """Cases 21, 87."""
    frame = index(visits=2)
    chain = {"c_001_1": "c_010_0", "c_010_1": "c_040_0", "c_040_1": "c_077_0"}
    digests = frame.set_index("scan_id")["sha256"].to_dict()
    for one, other in chain.items():
        digests[other] = digests[one]
    frame["sha256"] = frame["scan_id"].map(digests)
    for seed in range(20):
        divided = assign_splits(frame, FIFTH, seed).set_index("participant_id")["split"]
        assert divided.loc[["001", "010", "040", "077"]].nunique() == 1


def test_missing_checksums_join_nobody() -> None:
    frame = index().assign(sha256=None)
    assert split_counts(assign_splits(frame, FIFTH, 0))["held-out"] == (20, 40)


@pytest.mark.parametrize("columns", [("cohort",), ("cohort", "sex"), ("age_years",)])
def test_both_sides_keep_the_proportions(columns: tuple[str, ...]) -> None:
    config = SplitConfig(held_out_fraction=0.2, stratify=columns)
    divided = assign_splits(index(), config, 0)
    held_out = divided[divided["split"] == "held-out"]
    assert held_out["participant_id"].nunique() == 20
    for name in columns:
        if name == "age_years":
            fifths = np.digitize(held_out["age_years"], [30, 40, 50, 60])
            assert np.bincount(fifths, minlength=5).min() >= 6
        else:
            assert held_out[name].value_counts().to_list() == [20, 20]


def test_the_total_is_right_where_strata_are_small() -> None:
    frame = index(people=30, visits=1)
    frame["site"] = [f"site {i % 10}" for i in range(30)]
    config = SplitConfig(held_out_fraction=0.2, stratify=("site",))
    divided = assign_splits(frame, config, 0)
    assert (divided["split"] == "held-out").sum() == 6
    assert divided[divided["split"] == "held-out"]["site"].is_unique


def test_given_sides_are_kept_and_hold_for_the_whole_person() -> None:
    frame = index()
    frame.loc[frame["scan_id"].isin(["c_005_0", "c_006_1"]), "split"] = ["held-out", "pretrain"]
    divided = assign_splits(frame, FIFTH, 0)
    sides = divided.groupby("participant_id")["split"].unique()
    assert list(sides["005"]) == ["held-out"]
    assert list(sides["006"]) == ["pretrain"]
    assert split_counts(divided)["held-out"] == (20, 40)
    pd.testing.assert_frame_equal(assign_splits(divided, FIFTH, seed=9), divided)


def test_given_sides_that_tear_a_person_apart_are_an_error() -> None:
    """Case 86."""
    frame = index()
    frame.loc[frame["participant_id"] == "005", "split"] = ["held-out", "pretrain"]
    with pytest.raises(LeakageError, match="B/005"):
        assign_splits(frame, FIFTH, 0)


def test_an_unknown_side_or_column_is_an_error() -> None:
    frame = index()
    with pytest.raises(TableError, match="no column 'nihss'"):
        assign_splits(frame, SplitConfig(stratify=("nihss",)), 0)
    with pytest.raises(TableError, match=r"no column 'sites' .*; did you mean 'site'\?"):
        assign_splits(frame, SplitConfig(stratify=("sites",)), 0)
    frame.loc[0, "split"] = "train"
    with pytest.raises(TableError, match="the column split holds 'train'"):
        assign_splits(frame, FIFTH, 0)


def test_nobody_is_held_out_by_default() -> None:
    assert set(assign_splits(index(), SplitConfig(), 0)["split"]) == {"pretrain"}


def test_another_split_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    divided = assign_splits(index(), FIFTH, 0)
    require_same_split(divided, path)
    write_index(divided, path)
    require_same_split(divided, path)
    with pytest.raises(TableError, match="holds another split"):
        require_same_split(assign_splits(index(), FIFTH, 1), path)
    with pytest.raises(TableError, match="holds another split"):
        require_same_split(divided.iloc[2:], path)
