from __future__ import annotations

import re

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


def test_an_id_that_cannot_name_a_file_is_named_by_its_checksum() -> None:
    ids = ["脳", "頭", "---", "x" * 300, "x" * 301]
    labels = [bids_label(text) for text in ids]
    assert len(set(labels)) == len(ids)
    assert all(re.fullmatch(r"id[0-9a-f]{12}", label) for label in labels)
    assert labels == [bids_label(text) for text in ids]
    assert bids_label("Müller-1") == "Mller1"


def test_the_longest_ids_leave_names_that_file_systems_take() -> None:
    long = "p" * 50
    (names,) = output_names(index((f"c_{long}_{long}_{long}", "c", long, long)))
    assert max(len(part.encode()) for part in names.transform.split("/")) <= 255


def test_no_id_leaves_the_folder() -> None:
    assert bids_label("../../etc") == "etc"
    assert cohort_folder("../x") == "x"
    assert cohort_folder("my study (1)") == "my-study-1-"
