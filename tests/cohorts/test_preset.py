"""The paper's split: exact counts, by person, alike in every part, the same every time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.division import divide_index
from neurofm.cohorts.index import COLUMNS, participant_keys
from neurofm.cohorts.leakage import refuse_torn_split
from neurofm.cohorts.sides import HELD_OUT_TRAIN, SEEN_IN_PRETRAINING, given_roles
from neurofm.config.preparation import SplitConfig
from neurofm.config.study import load_study, study_split
from neurofm.errors import TableError

PAPER = SplitConfig(preset="paper")
DROPPING = SplitConfig(preset="paper", drop_unlabelled=True)


def cohort(name: str, people: int, visits: int = 1, **labels: object) -> pd.DataFrame:
    """An index of one cohort; a label is one value for all, or a value for each person."""
    who = np.repeat(np.arange(people), visits)
    visit = np.tile(np.arange(visits), people)
    frame = pd.DataFrame(index=range(people * visits), columns=list(COLUMNS), dtype=object)
    frame = frame.assign(
        scan_id=[f"{name}_{p:04d}_{v}" for p, v in zip(who, visit, strict=True)],
        cohort=name, participant_id=[f"{p:04d}" for p in who], session_id=[f"{v}" for v in visit],
        path="x.nii", bytes=1, age_years=20.0 + (who * 37) % 60 + visit,
        sha256=[f"{name}{p}-{v}" for p, v in zip(who, visit, strict=True)],
    )  # fmt: skip
    for label, values in labels.items():
        frame[label] = np.asarray(values)[who] if np.ndim(values) else values
    return frame


def soop(people: int = 1704) -> pd.DataFrame:
    return cohort("SOOP", people, nihss=np.arange(people) % 43 * 1.0, diagnosis="S")


def ixi(people: int = 582) -> pd.DataFrame:
    return cohort("IXI", people, sex=np.resize(["F", "M"], people),
                  site=np.resize(["Guys", "HH", "IOP"], people))  # fmt: skip


def aibl(healthy: int = 484, ill: int = 83, mci: int = 137, visits: int = 2) -> pd.DataFrame:
    words = np.array(["H"] * healthy + ["AD"] * ill + ["MCI"] * mci)
    return cohort("AIBL", len(words), visits, diagnosis=words)


def people_of(frame: pd.DataFrame, *columns: str) -> dict[object, int]:
    """Participants by side, or by side and other columns."""
    keys = ["split", *columns]
    return frame.groupby(keys if columns else "split")["participant_id"].nunique().to_dict()


def test_soop_is_divided_60_20_20_and_its_training_part_is_seen_in_pretraining() -> None:
    divided = divide_index(soop(), PAPER, seed=0).frame
    assert people_of(divided) == {"test": 341, "train": 1022, "validation": 341}
    seen = divided["split"].isin(SEEN_IN_PRETRAINING)
    assert set(divided["split"][~seen]) == {"validation", "test"}
    means = divided.groupby("split")["nihss"].mean()
    assert means.max() - means.min() < 1


def test_ixi_is_divided_60_20_20_and_never_seen_in_pretraining() -> None:
    divided = divide_index(ixi(), PAPER, seed=0).frame
    assert people_of(divided) == {HELD_OUT_TRAIN: 350, "test": 116, "validation": 116}
    assert not divided["split"].isin(SEEN_IN_PRETRAINING).any()
    women = divided.groupby("split")["sex"].apply(lambda sex: (sex == "F").mean())
    assert (women - 0.5).abs().max() < 0.05
    ages = divided.groupby("split")["age_years"].mean()
    assert ages.max() - ages.min() < 2


def test_aibl_has_a_balanced_training_part_and_the_rest_is_halved() -> None:
    divided = divide_index(aibl(), PAPER, seed=0)
    counts = people_of(divided.frame, "diagnosis")
    assert counts == {
        (HELD_OUT_TRAIN, "AD"): 53, (HELD_OUT_TRAIN, "H"): 53,
        ("validation", "AD"): 15, ("validation", "H"): 215,
        ("test", "AD"): 15, ("test", "H"): 216,
        ("unused", "MCI"): 137,
    }  # fmt: skip
    assert "AIBL: 137 people began as neither H nor AD: unused" in divided.notes


def test_the_published_experiment_divides_its_cohorts_so() -> None:
    """Also where some people lack a label."""
    frame = pd.concat([soop(1710), aibl(), ixi(), cohort("ADNI", 9, nihss=None)], ignore_index=True)
    frame.loc[frame["cohort"].eq("SOOP") & frame["participant_id"].ge("1704"), "nihss"] = None
    divided = divide_index(frame, study_split(load_study("paper")), seed=0).frame
    sides = divided.groupby(["cohort", "split"])["participant_id"].nunique().to_dict()
    assert sides == {
        ("ADNI", "pretrain"): 9,
        ("AIBL", HELD_OUT_TRAIN): 106, ("AIBL", "validation"): 230, ("AIBL", "test"): 231,
        ("AIBL", "unused"): 137,
        ("IXI", HELD_OUT_TRAIN): 350, ("IXI", "validation"): 116, ("IXI", "test"): 116,
        ("SOOP", "train"): 1022, ("SOOP", "validation"): 341, ("SOOP", "test"): 341,
        ("SOOP", "unused"): 6,
    }  # fmt: skip


def test_aibls_training_part_shrinks_with_the_cohort() -> None:
    counts = people_of(divide_index(aibl(60, 20, 5), PAPER, 0).frame, "diagnosis")
    assert counts[HELD_OUT_TRAIN, "H"] == counts[HELD_OUT_TRAIN, "AD"] == 12


def test_a_person_counts_by_his_first_diagnosis_and_other_scans_are_unused() -> None:
    frame = aibl()
    changed = (frame["participant_id"] == "0007") & (frame["session_id"] == "1")
    unknown = (frame["participant_id"] == "0008") & (frame["session_id"] == "0")
    frame.loc[changed, "diagnosis"] = "AD"
    frame.loc[unknown, "diagnosis"] = None
    divided = divide_index(frame, PAPER, 0)
    assert people_of(divided.frame)["validation"] == 230
    sides = divided.frame.set_index("scan_id")["split"]
    assert sides["AIBL_0007_1"] == sides["AIBL_0008_0"] == "unused"
    assert "unused" not in {sides["AIBL_0007_0"], sides["AIBL_0008_1"]}
    assert "AIBL: 2 scans with another diagnosis than the person's first: unused" in divided.notes


def test_all_other_cohorts_are_for_pretraining() -> None:
    frame = pd.concat([cohort("ADNI", 30, 3), soop(50), cohort("mine", 5)], ignore_index=True)
    divided = divide_index(frame, PAPER, 0)
    others = divided.frame[divided.frame["cohort"] != "SOOP"]
    assert set(others["split"]) == {"pretrain"}
    assert divided.notes == ("the index has no AIBL", "the index has no IXI")


def test_nobody_is_torn_apart_and_the_order_of_rows_does_not_matter() -> None:
    """Case 88."""
    frame = pd.concat([aibl(), ixi()], ignore_index=True)
    frame.loc[frame["scan_id"] == "IXI_0001_0", "sha256"] = "IXI2-0"
    divided = divide_index(frame, PAPER, 3).frame
    used = divided[divided["split"] != "unused"]
    assert used.groupby(participant_keys(used))["split"].nunique().max() == 1
    both = divided.set_index("scan_id")["split"][["IXI_0001_0", "IXI_0002_0"]]
    assert both.nunique() == 1
    refuse_torn_split(divided)
    shuffled = divide_index(frame.sample(frac=1, random_state=1), PAPER, 3).frame
    pd.testing.assert_frame_equal(shuffled.sort_index(), divided)
    assert not divide_index(frame, PAPER, 4).frame["split"].equals(divided["split"])


def test_a_cohorts_draw_does_not_depend_on_the_other_cohorts() -> None:
    alone = divide_index(ixi(), PAPER, 0).frame["split"]
    frame = pd.concat([ixi(), soop(80)], ignore_index=True)
    assert list(divide_index(frame, PAPER, 0).frame["split"][:582]) == list(alone)


def test_people_without_the_label_stop_the_split_unless_they_may_be_dropped() -> None:
    """Case 80."""
    frame = soop(100)
    frame.loc[frame["participant_id"].isin(["0003", "0004"]), "nihss"] = np.nan
    with pytest.raises(
        TableError, match="2 participants without nihss: SOOP/0003, SOOP/0004; label"
    ):
        divide_index(frame, PAPER, 0)
    divided = divide_index(frame, DROPPING, 0)
    assert people_of(divided.frame) == {"test": 20, "train": 58, "unused": 2, "validation": 20}
    assert "SOOP: 2 participants without nihss: SOOP/0003, SOOP/0004; unused" in divided.notes


def test_what_the_preset_needs_has_to_be_there() -> None:
    with pytest.raises(TableError, match="holds none of SOOP, AIBL, IXI"):
        divide_index(cohort("ADNI", 5), PAPER, 0)
    with pytest.raises(TableError, match="no column 'nihss', which SOOP needs"):
        divide_index(cohort("SOOP", 5), PAPER, 0)
    with pytest.raises(TableError, match=r"which SOOP needs; did you mean 'nihs'\? rename it"):
        divide_index(cohort("SOOP", 5, nihs=3), PAPER, 0)
    with pytest.raises(TableError, match="AIBL has 30 people of class H and 0 of AD"):
        divide_index(aibl(30, 0), PAPER, 0)


def test_a_divided_index_stays_as_it_is_or_is_refused() -> None:
    divided = divide_index(ixi(), PAPER, 0).frame
    pd.testing.assert_frame_equal(divide_index(divided, PAPER, 0).frame, divided)
    with pytest.raises(TableError, match="divided already, in another way"):
        divide_index(divided, PAPER, 1)


def test_tasks_take_the_held_out_training_part_for_training() -> None:
    split = pd.Series(["train", HELD_OUT_TRAIN, "test", "pretrain", "unused", None], dtype=object)
    assert list(given_roles(split)) == ["train", "train", "test", None, None, None]
