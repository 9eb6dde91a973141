"""Every kind of source becomes rows of one index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS
from neurofm.cohorts.readers import Indexed, index_sources
from neurofm.errors import TableError

WriteScan = Callable[..., Path]


def by_id(indexed: Indexed) -> pd.DataFrame:
    return indexed.frame.set_index("scan_id")


@pytest.fixture
def bids(tmp_path: Path, write_scan: WriteScan) -> Path:
    folder = tmp_path / "bids"
    for name in (
        "sub-01/ses-1/anat/sub-01_ses-1_T1w", "sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w",
        "sub-01/ses-2/anat/sub-01_ses-2_run-2_T1w", "sub-02/anat/sub-02_acq-mprage_T1w",
        "sub-02/anat/sub-02_T2w", "sub-02/func/sub-02_task-rest_bold",
        "derivatives/fs/sub-01/anat/sub-01_T1w", "sourcedata/sub-09/anat/sub-09_T1w",
    ):  # fmt: skip
        write_scan(f"bids/{name}.nii.gz")
    (folder / "sub-03/anat").mkdir(parents=True)
    (folder / "participants.tsv").write_text(
        "participant_id\tage\tgender\tgroup\thandedness\tscore\n"
        "sub-01\t70\tf\tMCI\tright\t3.5\nsub-02\tn/a\tMale\tcontrol\tleft\tn/a\n"
        "sub-03\t50\tm\tcontrol\tright\t1\nsub-08\t51\tm\tcontrol\tright\t1\n"
    )
    (folder / "sub-01/sub-01_sessions.tsv").write_text(
        "session_id\tage\tdiagnosis\nses-1\t70.5\tn/a\nses-2\t72.5\tAD\n"
    )
    return folder


def test_a_bids_folder_gives_every_t1w_with_the_labels_of_its_session(bids: Path) -> None:
    indexed = index_sources([bids])
    frame = by_id(indexed)
    assert list(frame.index) == [
        "bids_sub-01_ses-1", "bids_sub-01_ses-2_run-1", "bids_sub-01_ses-2_run-2",
        "bids_sub-02_acq-mprage",
    ]  # fmt: skip
    assert list(indexed.frame.columns) == [*COLUMNS, "handedness", "score"]
    np.testing.assert_array_equal(frame["age_years"], [70.5, 72.5, 72.5, np.nan])
    assert list(frame["sex"]) == ["F", "F", "F", "M"]
    assert list(frame["diagnosis"]) == ["MCI", "AD", "AD", "control"]
    assert list(frame["session_id"]) == ["ses-1", "ses-2", "ses-2", None]
    assert list(frame["handedness"]) == ["right", "right", "right", "left"]
    np.testing.assert_array_equal(frame["score"], [3.5, 3.5, 3.5, np.nan])
    assert frame["sha256"].map(len).eq(64).all()
    assert not indexed.failures


def test_participants_without_a_scan_and_without_a_folder_are_noted(bids: Path) -> None:
    notes = "; ".join(index_sources([bids]).notes)
    assert "1 participants have no T1w scan: sub-03" in notes
    assert "1 participants of the table have no folder: sub-08" in notes


def test_other_series_of_a_bids_folder_are_counted(bids: Path, write_scan: WriteScan) -> None:
    for name in ("sub-01/ses-1/anat/sub-01_ses-1_FLAIR", "sub-02/anat/sub-02_acq-b_T2w",
                 "sub-02/anat/sub-02_part-phase_T1w", "sub-02/anat/T1w"):  # fmt: skip
        write_scan(f"bids/{name}.nii.gz")
    (note,) = [note for note in index_sources([bids]).notes if "no T1 scans" in note]
    found = "'T2w' (2), 'FLAIR' (1), 'T1w' (1), 'part-phase_T1w' (1), 'bold' (1)"
    assert note == f"bids: 6 files are no T1 scans by their name: {found}"


def test_the_code_book_beside_participants_tsv_is_used(bids: Path) -> None:
    (bids / "participants.tsv").write_text("participant_id\tage\tsex\n01\t840\t0\n02\t600\t1\n")
    book = {"age": {"Units": "months"}, "sex": {"Levels": {"0": "female", "1": "male"}}}
    (bids / "participants.json").write_text(json.dumps(book))
    (bids / "sub-01/sub-01_sessions.tsv").unlink()
    frame = by_id(index_sources([bids]))
    np.testing.assert_allclose(frame["age_years"], [70, 70, 70, 50])
    assert list(frame["sex"]) == ["F", "F", "F", "M"]


def test_contradicting_lines_on_a_participant_are_an_error(bids: Path) -> None:
    (bids / "participants.tsv").write_text("participant_id\tage\nsub-01\t70\nsub-01\t71\n")
    with pytest.raises(TableError, match="line 3 contradicts an earlier line on sub-01"):
        index_sources([bids])


def test_a_participants_table_may_have_a_line_for_each_session(bids: Path) -> None:
    (bids / "participants.tsv").write_text(
        "participant_id\tsession_id\tage\nsub-01\tses-1\t70\nsub-01\tses-2\t72\nsub-02\tn/a\t60\n"
    )
    (bids / "sub-01/sub-01_sessions.tsv").unlink()
    np.testing.assert_array_equal(by_id(index_sources([bids]))["age_years"], [70, 72, 72, 60])


@pytest.mark.parametrize(
    "table",
    [
        "MRID,Age,Sex\nIXI002-Guys-0828,35.8,F\nIXI012-HH-1211,38.78,M\n",
        '"IXI_ID","SEX_ID (1=m, 2=f)","HEIGHT","AGE"\n2,2,164,35.8\n12,1,175,38.78\n',
        "IXI_ID;Sex;Age\nIXI002;f;35,8\nIXI012;m;38,78\n",
    ],
)
def test_an_ixi_folder_is_joined_with_its_table(
    tmp_path: Path, write_scan: WriteScan, table: str
) -> None:
    for name in ("T1/IXI002-Guys-0828-T1", "T1/IXI012-HH-1211-T1", "T2/IXI002-Guys-0828-T2",
                 "labels/IXI012-HH-1211-T1_DLMUSE"):  # fmt: skip
        write_scan(f"ixi/{name}.nii.gz")
    (tmp_path / "ixi/IXI.csv").write_text(table)
    indexed = index_sources([tmp_path / "ixi"])
    frame = by_id(indexed)
    assert "ixi: 2 files are no T1 scans by their name: 'T2' (1), 'T1_DLMUSE' (1)" in indexed.notes
    assert list(frame.index) == ["ixi_IXI002", "ixi_IXI012"]
    assert list(frame["site"]) == ["Guys", "HH"]
    assert list(frame["sex"]) == ["F", "M"]
    np.testing.assert_allclose(frame["age_years"], [35.8, 38.78])


def test_the_volumes_of_one_ixi_series_have_one_name(tmp_path: Path, write_scan: WriteScan) -> None:
    for name in ("T1", "DTI-00", "DTI-01", "MRA"):
        write_scan(f"ixi/IXI002-Guys-0828-{name}.nii.gz")
    notes = index_sources([tmp_path / "ixi"]).notes
    assert "ixi: 3 files are no T1 scans by their name: 'DTI' (2), 'MRA' (1)" in notes


def test_a_contradiction_in_the_ixi_table_leaves_the_label_missing(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("ixi/IXI002-Guys-0828-T1.nii.gz")
    (tmp_path / "ixi/IXI.csv").write_text("IXI_ID,AGE\n2,35\n2,40\n")
    indexed = index_sources([tmp_path / "ixi"])
    assert indexed.frame["age_years"].isna().all()
    assert "contradicts itself on IXI002" in "; ".join(indexed.notes)


def test_a_plain_table_keeps_ids_as_text_and_all_labels(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("t/scans/a.nii.gz")
    write_scan("t/b.nii.gz")
    (tmp_path / "t/study.csv").write_text(
        "participant_id,path,session_id,mask_path,age,sex,diagnosis,site,split,nihss,code\n"
        f"001,scans/a.nii.gz,1,b.nii.gz,71,F,AD,A,held-out,4,007\n"
        f"NO,{tmp_path}/t/b.nii.gz,,,,,,,,n/a,\n"
    )
    frame = index_sources([tmp_path / "t/study.csv"]).frame
    first, second = frame.to_dict("records")
    assert first["scan_id"] == "study_001_1"
    assert first["participant_id"] == "001"
    assert first["path"] == str(tmp_path / "t/scans/a.nii.gz")
    assert first["mask_path"] == str(tmp_path / "t/b.nii.gz")
    assert (first["age_years"], first["sex"], first["diagnosis"]) == (71.0, "F", "AD")
    assert (first["site"], first["split"]) == ("A", "held-out")
    assert (first["nihss"], first["code"]) == (4.0, "007")
    assert second["scan_id"] == "study_NO"
    assert second["session_id"] is None
    assert second["sex"] is None
    assert np.isnan(second["age_years"])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("participant,path", "no column 'participant_id'; did you mean 'participant'"),
        ("participant_id,file", "no column 'path'; it has: participant_id, file"),
        ("participant_id,path,age_year", "'age_year' is unknown; did you mean 'age_years'"),
        ("participant_id,path,diagnosys", "did you mean 'diagnosis'"),
        ("participant_id,path,maskpath", "did you mean 'mask_path'"),
    ],
)
def test_a_misspelt_column_is_an_error_with_its_right_name(
    tmp_path: Path, header: str, message: str
) -> None:
    """Cases 76, 89."""
    path = tmp_path / "study.csv"
    path.write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    with pytest.raises(TableError, match=message):
        index_sources([path])


def test_a_table_from_another_machine_is_an_error_with_the_count(tmp_path: Path) -> None:
    """Case 79."""
    path = tmp_path / "study.csv"
    path.write_text("participant_id,path\n1,/data/a.nii.gz\n2,/data/b.nii.gz\n")
    with pytest.raises(TableError, match="none of its 2 scans exists here.* with --root"):
        index_sources([path])


def test_the_root_takes_the_place_of_what_paths_begin_with_elsewhere(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    """Case 79."""
    for name in ("one/a", "two/a", "two/mask"):
        write_scan(f"here/{name}.nii.gz")
    path = tmp_path / "study.csv"
    path.write_text(
        "participant_id,path,mask_path\n1,/data/x/one/a.nii.gz,\n"
        "2,/data/x/two/a.nii.gz,/data/x/two/mask.nii.gz\n3,/data/x/gone.nii.gz,\n"
    )
    frame = index_sources([path], root=tmp_path / "here").frame
    assert list(frame["path"]) == [
        str(tmp_path / f"here/{name}.nii.gz") for name in ("one/a", "two/a", "gone")
    ]
    assert frame["mask_path"][1] == str(tmp_path / "here/two/mask.nii.gz")
    assert list(frame["problem"].notna()) == [False, False, True]
    path.write_text("participant_id,path\n1,one/a.nii.gz\n2,two/a.nii.gz\n")
    assert index_sources([path], root=tmp_path / "here").frame["problem"].isna().all()
    with pytest.raises(TableError, match="none of its 2 scans exists here"):
        index_sources([path], root=tmp_path / "elsewhere")


def test_four_bad_scans_give_four_failures_and_leave_the_others_usable(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    good = [write_scan(f"{name}.nii.gz") for name in "ab"]
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(good[0].read_bytes()[:3000])
    series, zeros = write_bad_scans(tmp_path)
    names = [good[0].name, cut.name, series.name, zeros.name, "gone.nii.gz", good[1].name]
    table = tmp_path / "study.csv"
    table.write_text("participant_id,path\n" + "".join(f"{i},{n}\n" for i, n in enumerate(names)))
    indexed = index_sources([table])
    assert [failure.kind for failure in indexed.failures] == [
        "truncated", "not-3d", "constant", "missing",
    ]  # fmt: skip
    assert [failure.participant for failure in indexed.failures] == [
        f"study/{i}" for i in (1, 2, 3, 4)
    ]
    problems = list(indexed.frame["problem"])
    assert problems[0] is None
    assert problems[5] is None
    assert problems[1:5] == [failure.reason for failure in indexed.failures]
    assert all("\n" not in str(failure) for failure in indexed.failures)


def write_bad_scans(folder: Path) -> tuple[Path, Path]:
    import nibabel as nib

    series, zeros = folder / "series.nii.gz", folder / "zeros.nii.gz"
    affine = np.diag([8.0, 8, 8, 1])
    nib.save(nib.Nifti1Image(np.ones((14, 14, 14, 20), np.int16), affine), series)
    nib.save(nib.Nifti1Image(np.zeros((14, 14, 14), np.int16), affine), zeros)
    return series, zeros


def test_a_plain_folder_and_a_single_file_need_no_table(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("loose/x/scan one.nii")
    write_scan("loose/.hidden/no.nii.gz")
    single = write_scan("one/sub-07_ses-2_T1w.nii.gz")
    frame = index_sources([tmp_path / "loose", single]).frame
    assert list(frame["scan_id"]) == ["loose_scan-one", "one_sub-07_ses-2"]
    assert list(frame["participant_id"]) == ["scan one", "sub-07"]


def test_only_t1w_files_of_a_plain_folder_are_taken_where_any_is_called_so(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("loose/sub-02_T1w.nii.gz")
    write_scan("loose/sub-02_T2w.nii.gz")
    indexed = index_sources([tmp_path / "loose"])
    assert list(indexed.frame["scan_id"]) == ["loose_sub-02"]
    assert "1 files that are not called T1w were left" in "; ".join(indexed.notes)


def test_identical_files_are_noted(tmp_path: Path, write_scan: WriteScan) -> None:
    """Cases 21, 87."""
    for name in ("sub-1_T1w", "sub-2_T1w"):
        write_scan(f"loose/{name}.nii.gz", content="same")
    notes = "; ".join(index_sources([tmp_path / "loose"]).notes)
    assert "the same file stands under several participants: loose/sub-1, loose/sub-2" in notes


def test_a_scan_listed_twice_stands_once_and_a_contradiction_is_an_error(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    """Case 78."""
    write_scan("a.nii.gz")
    table = tmp_path / "study.csv"
    table.write_text("participant_id,path,age\n1,a.nii.gz,30\n1,./a.nii.gz,30\n")
    indexed = index_sources([table])
    assert len(indexed.frame) == 1
    assert "1 scans were listed twice: a.nii.gz" in indexed.notes
    table.write_text("participant_id,path,age\n1,a.nii.gz,30\n2,a.nii.gz,30\n")
    with pytest.raises(TableError, match="listed for 'study/1' and again for 'study/2'"):
        index_sources([table])


def test_two_sources_of_one_name_are_an_error(tmp_path: Path, write_scan: WriteScan) -> None:
    for place in "ab":
        write_scan(f"{place}/data/sub-1/anat/sub-1_T1w.nii.gz")
    with pytest.raises(TableError, match="two sources are called 'data'"):
        index_sources([tmp_path / "a/data", tmp_path / "b/data"])


def test_repeated_scans_of_a_participant_get_numbers(tmp_path: Path, write_scan: WriteScan) -> None:
    for name in "abc":
        write_scan(f"{name}.nii.gz")
    table = tmp_path / "s.csv"
    table.write_text("participant_id,path\n1,a.nii.gz\n1,b.nii.gz\n1_2,c.nii.gz\n")
    assert list(index_sources([table]).frame["scan_id"]) == ["s_1", "s_1_3", "s_1_2"]


def test_a_missing_mask_is_a_problem_of_the_scan(tmp_path: Path, write_scan: WriteScan) -> None:
    write_scan("a.nii.gz")
    table = tmp_path / "s.csv"
    table.write_text("participant_id,path,mask_path\n1,a.nii.gz,m.nii.gz\n")
    assert index_sources([table]).frame["problem"].tolist() == [
        "its mask m.nii.gz: does not exist; check the path"
    ]


def test_without_verification_files_are_only_looked_at(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    path = write_scan("loose/a.nii.gz")
    path.write_bytes(path.read_bytes()[:-20])
    indexed = index_sources([tmp_path / "loose"], verify=False)
    assert indexed.failures == ()
    assert indexed.frame["sha256"].tolist() == [None]
    assert indexed.frame["bytes"].tolist() == [path.stat().st_size]


@pytest.mark.parametrize("name", ["nothing here", "gone.csv", "empty", "sheet.xlsx", "i.parquet"])
def test_a_source_without_scans_stops_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    for file in ("sheet.xlsx", "i.parquet"):
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(TableError):
        index_sources([tmp_path / name])
    with pytest.raises(TableError, match="no source was given"):
        index_sources([])


def test_the_real_scans_come_out_with_their_labels(shared: Path) -> None:
    names = ("ds000011", "ds002748", "ixi10", "studyforrest")
    frame = index_sources([shared / "scans" / name for name in names], verify=False).frame
    assert frame["cohort"].value_counts().to_dict() == dict(
        zip(names, (14, 36, 10, 1), strict=True)
    )
    assert frame["problem"].isna().all()
    assert set(frame.loc[frame["cohort"] == "ds002748", "diagnosis"]) == {"depr", "control"}
    known = frame.set_index("scan_id")
    assert known.loc["ixi10_IXI012", ["age_years", "sex", "site"]].tolist() == [38.78, "M", "HH"]
    assert known.loc["ds000011_sub-04", ["age_years", "sex"]].tolist() == [19.0, "F"]
    assert frame["age_years"].isna().sum() == frame["sex"].isna().sum() == 1


def test_a_folder_of_data_sets_gives_a_cohort_for_each(
    bids: Path, tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("ixi/T1/IXI002-Guys-0828-T1.nii.gz")
    write_scan("plain/one.nii.gz")
    frame = index_sources([tmp_path], verify=False).frame
    assert set(frame["cohort"]) == {"bids", "ixi", "plain"}
    alone = index_sources([bids, tmp_path / "ixi", tmp_path / "plain"], verify=False).frame
    pd.testing.assert_frame_equal(frame, alone)


def test_a_folder_whose_table_lists_its_parts_stays_one_cohort(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    for site in ("a", "b"):
        write_scan(f"study/{site}/sub-1/anat/sub-1{site}_T1w.nii.gz")
    (tmp_path / "study/participants.tsv").write_text("participant_id\tage\nsub-1a\t30\n")
    assert set(index_sources([tmp_path / "study"], verify=False).frame["cohort"]) == {"study"}
