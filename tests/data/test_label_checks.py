"""Labels that stop a task before any work: none for somebody, and numbers that may be codes."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from neurofm.data.label_checks import refuse_codes, require_labels
from neurofm.errors import TableError


def frame(labels: list[object], visits: int = 1) -> pd.DataFrame:
    """One label a scan; a person has the scans that follow on each other."""
    return pd.DataFrame(
        {
            "cohort": "A",
            "participant_id": [f"{row // visits:03d}" for row in range(len(labels))],
            "label": labels,
        }
    )


@pytest.mark.parametrize("blank", [None, float("nan"), "", "  "])
def test_people_without_a_label_are_refused_and_the_first_are_named(blank: object) -> None:
    """Case 80."""
    labels = frame(["H", *[blank] * 7, "AD"])
    with pytest.raises(TableError) as told:
        require_labels(labels, "label")
    assert str(told.value) == (
        "index: 7 participants without 'label': A/001, A/002, A/003, A/004, A/005 and 2 more; "
        "label them, or say split.drop_unlabelled=true"
    )


def test_a_label_at_one_visit_is_enough_and_a_site_is_always_known() -> None:
    require_labels(frame([3.0, None, None, 4.0], visits=2), "label")
    require_labels(frame([None, None]), "site")


@pytest.mark.parametrize(
    ("labels", "listed"),
    [
        ([1, 2, 1], "1, 2"),
        ([1.0, 2.0, None], "1, 2"),
        (["2", "1", " "], "1, 2"),
        ([0, 1, 2], "0, 1, 2"),
        ([0, 2, 0], "0, 2"),
    ],
)
def test_one_and_two_are_refused_with_what_to_write_instead(
    labels: list[object], listed: str
) -> None:
    """Case 82."""
    names = ", ".join(f'"{code}"' for code in listed.split(", "))
    words = (
        f"index: 'label' has only the numbers {listed}, which may be codes of classes; "
        f"write a word for each, or train with objective.classes=[{names}]"
    )
    with pytest.raises(TableError, match=f"^{re.escape(words)}$"):
        refuse_codes(frame(labels), "label")


@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, None],
        [True, False],
        ["H", "AD", "1"],
        [0, 0.5, 1, 2],
        [1, 2, 3],
        [2, 2],
        [None, None],
        list(range(43)),
    ],
)
def test_no_and_yes_words_and_scales_are_no_codes(labels: list[object]) -> None:
    refuse_codes(frame(labels), "label")


def test_cohorts_that_are_called_by_numbers_are_sites() -> None:
    refuse_codes(frame([0, 1]).assign(cohort=["1", "2"]), "site")


def test_an_unknown_column_is_refused() -> None:
    for check in (require_labels, refuse_codes):
        with pytest.raises(TableError, match="no column 'lable'; did you mean 'label'"):
            check(frame([0, 1]), "lable")
