from __future__ import annotations

import pandas as pd
import pytest

from neurofm.errors import TableError
from neurofm.preprocess.naming import bids_label, cohort_folder, output_names


def index(*rows: tuple[str, str, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["scan_id", "cohort", "participant_id", "session_id"])


def test_a_scan_stands_in_its_cohort_participant_and_session() -> None:
    (names,) = output_names(index(("adni_sub-012_ses-m06", "adni", "sub-012", "ses-m06")))
    stem = "adni/sub-012/ses-m06/anat/sub-012_ses-m06_space-MNI152NLin2009cSym"
    assert names.image == f"{stem}_desc-preproc_T1w.nii.gz"
    assert names.brain_mask == f"{stem}_desc-brain_mask.nii.gz"
    assert names.tissue == f"{stem}_dseg.nii.gz"
    assert names.label == "sub-012_ses-m06"


def test_several_scans_of_a_session_keep_what_tells_them_apart() -> None:
    names = output_names(
        index(
            ("c_sub-1_acq-mprage_run-1", "c", "sub-1", None),
            ("c_sub-1_acq-mprage_run-2", "c", "sub-1", None),
            ("c_sub-1_late scan", "c", "sub-1", None),
        )
    )
    assert [name.label for name in names] == [
        "sub-1_acq-mprage_run-1",
        "sub-1_acq-mprage_run-2",
        "sub-1_acq-latescan",
    ]


def test_ids_that_differ_in_forbidden_characters_only_are_refused() -> None:
    with pytest.raises(TableError, match="'c_p_1' and 'c_p1'"):
        output_names(index(("c_p_1", "c", "p_1", None), ("c_p1", "c", "p1", None)))


def test_ids_that_differ_in_case_only_are_refused() -> None:
    with pytest.raises(TableError, match="same file"):
        output_names(index(("c_AB", "c", "AB", None), ("c_ab", "c", "ab", None)))


def test_an_id_without_letters_or_digits_is_refused() -> None:
    with pytest.raises(TableError, match="no letter or digit"):
        bids_label("---")


def test_no_id_leaves_the_folder() -> None:
    assert bids_label("../../etc") == "etc"
    assert cohort_folder("../x") == "x"
    assert cohort_folder("my study (1)") == "my-study-1-"
