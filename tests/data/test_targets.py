from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurofm.data.targets import build_target, site_labels
from neurofm.errors import TableError


def frame(**columns: object) -> pd.DataFrame:
    count = 24
    return pd.DataFrame(
        {
            "scan_id": [f"scan{i}" for i in range(count)],
            "cohort": ["A"] * 12 + ["B"] * 12,
            "participant_id": [f"{i // 2:03d}" for i in range(count)],
            **columns,
        }
    )


def test_numbers_are_a_regression_and_people_without_one_are_left_out_and_counted() -> None:
    ages = np.arange(24.0)
    ages[[0, 1, 5]] = np.nan  # both scans of one person, one scan of another
    target = build_target(frame(age_years=ages), "age_years", 3)
    assert target.kind == "regression"
    assert target.num_participants == 11
    assert target.values.tolist() == [ages[row] for row in target.rows]
    assert target.notes == ("left out: 1 participant (3 scans) without a label",)


def test_text_is_a_classification_with_controls_first() -> None:
    target = build_target(frame(diagnosis=["AD", "AD", "H", "H"] * 6), "diagnosis", 3)
    assert (target.kind, target.classes) == ("binary", ("H", "AD"))
    assert target.positives == 6
    assert target.values[:4].tolist() == [1, 1, 0, 0]


def test_two_different_numbers_are_classes_and_numbers_kept_as_text_are_numbers() -> None:
    coded = build_target(frame(stroke=[0.0, 0.0, 1.0, 1.0] * 6), "stroke", 3)
    assert (coded.kind, coded.classes) == ("binary", ("0", "1"))
    scale = build_target(frame(nihss=[str(i) for i in range(24)]), "nihss", 3)
    assert scale.kind == "regression"


def test_numbers_that_are_named_as_classes_are_classes() -> None:
    """Case 82."""
    two = build_target(frame(stroke=[1.0, 1.0, 2.0, 2.0] * 6), "stroke", 3, ("1", "2"))
    assert (two.kind, two.classes, set(two.values)) == ("binary", ("1", "2"), {0.0, 1.0})
    three = build_target(frame(cdr=[0, 0, 1, 1, 2, 2] * 4), "cdr", 3, ("0", "1", "2"))
    assert (three.kind, three.classes, three.notes) == ("multiclass", ("0", "1", "2"), ())


def test_few_whole_numbers_taken_for_a_number_are_told_and_a_blank_is_no_label() -> None:
    four = build_target(frame(cdr=[0, 1, 2, 3] * 6), "cdr", 3)
    assert four.kind == "regression"
    assert four.notes == (
        "'cdr' has only 0, 1, 2, 3 and is taken for a number; write words for classes",
    )
    blank = build_target(frame(sex=["F", "F", "M", "M", " ", ""] * 4), "sex", 3)
    assert (blank.classes, blank.num_participants) == (("F", "M"), 8)
    halves = build_target(frame(cdr=[0, 0, 0.5, 0.5, 1, 1] * 4), "cdr", 3)
    assert halves.notes == ()


def test_a_class_too_small_for_the_folds_is_left_out_and_counted() -> None:
    labels = ["H"] * 12 + ["MCI"] * 10 + ["rare"] * 2
    target = build_target(frame(diagnosis=labels), "diagnosis", 3)
    assert target.classes == ("H", "MCI")
    assert target.notes == (
        "left out: 1 participant (2 scans) in classes of fewer than 3 participants",
    )


def test_the_same_participant_id_in_two_cohorts_is_two_people() -> None:
    table = frame(sex=["F", "F", "M", "M"] * 6)
    table["participant_id"] = [f"{i % 12 // 2:03d}" for i in range(24)]
    assert build_target(table, "sex", 3).num_participants == 12


def test_site_is_the_cohort_and_the_site_in_it_where_known() -> None:
    sites = site_labels(frame(site=["x", None] * 12))
    assert sites.iloc[:2].tolist() == ["A/x", "A"]
    assert build_target(frame(), "site", 3).classes == ("A", "B")


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(TableError, match="no column 'agee'"):
        build_target(frame(), "agee", 3)


def test_a_misspelt_column_is_refused_with_the_nearest_name() -> None:
    """Case 76."""
    with pytest.raises(TableError, match=r"no column 'Age_Yaers'; did you mean 'age_years'\?"):
        build_target(frame(age_years=range(24)), "Age_Yaers", 3)
    with pytest.raises(TableError, match="no column 'bmi'; it has: scan_id, cohort, part"):
        build_target(frame(), "bmi", 3)
