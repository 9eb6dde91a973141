"""The paper's cohorts: small trees as each archive delivers them become rows of an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import read_index, write_index
from neurofm.cohorts.known.description import find_known, known_cohorts
from neurofm.cohorts.known.found import found_cohorts, other_cohorts
from neurofm.cohorts.known.t1_names import is_t1_name
from neurofm.cohorts.readers import Indexed, index_sources
from neurofm.commands.cohorts import check, list_, show
from neurofm.errors import ConfigError, TableError

WriteScan = Callable[..., Path]
_LONI = (
    "Image Data ID,Subject,Group,Sex,Age,Visit,Modality,Description,Type,Acq Date,Format,Downloaded"
)
# Table 1, in its order.
_TABLE_1 = {
    "ADNI": (3028, 21778), "AOMIC": (1368, 1368), "CoRR": (1416, 1416), "DLBS": (315, 315),
    "GSP": (1569, 1569), "HABS-HD": (4231, 6429), "MCSA": (1802, 3090), "NIFD": (346, 1815),
    "PPMI": (3124, 5618), "SALD": (458, 458), "SOOP": (1102, 1102), "AIBL": (704, None),
    "IXI": (582, None),
}  # fmt: skip


def read(cohort: str, *folders: Path) -> Indexed:
    return index_sources(folders, verify=False, known=find_known(cohort))


def rows_of(indexed: Indexed, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in indexed.frame[list(columns)].itertuples(index=False)]


def notes_of(indexed: Indexed) -> str:
    return "; ".join(indexed.notes)


def write_loni(
    write: WriteScan, folder: Path, rows: Iterable[tuple[str, ...]], listed: bool = True
) -> None:
    """Files of a LONI download and the CSV of its collection; a row as in its header."""
    lines = [_LONI]
    for image, person, group, sex, age, visit, modality, series, kind, date in rows:
        day = f"{date}_09_30_00.0"
        place = f"{person}/{series.replace(' ', '_').replace(';', '_')}/{day}/{image}"
        write(f"{folder.name}/{place}/{folder.name}_{person}_{image}.nii")
        lines.append(
            f"{image},{person},{group},{sex},{age},{visit},{modality},{series},{kind},{date},NiFTI,"
        )
    if listed:
        (folder / "collection_11_25_2026.csv").write_text("\n".join(lines) + "\n")


ADNI_ROWS = (
    ("I1", "002_S_1", "CN", "M", "70", "sc", "MRI", "MPRAGE SENSE2", "Original", "2006-04-18"),
    ("I2", "002_S_1", "CN", "M", "70", "sc", "MRI", "MPRAGE_Repeat", "Original", "2006-04-18"),
    ("I3", "002_S_1", "CN", "M", "70", "sc", "MRI", "MPR; GradWarp; N3", "Processed", "2006-04-18"),
    ("I4", "002_S_1", "MCI", "M", "72", "m24", "MRI", "SAG IR-SPGR", "Original", "2008-04-18"),
    ("I5", "002_S_1", "MCI", "M", "72", "m24", "MRI", "Axial T2 FLAIR", "Original", "2008-04-18"),
    ("I6", "002_S_1", "MCI", "M", "72", "m24", "MRI", "Axial PD/T2 FSE", "Original", "2008-04-18"),
    ("I7", "100_S_2", "Dementia", "F", "", "m06", "MRI", "MPR; ; N3; Scaled", "Processed",
     "2007-01-02"),
    ("I8", "100_S_2", "Dementia", "F", "", "m06", "PET", "T1-like FDG", "Original", "2007-01-02"),
    ("I9", "100_S_3", "Patient", "F", "66", "sc", "MRI", "3 Plane Localizer T1", "Original",
     "2010-01-02"),
    ("I10", "100_S_3", "Patient", "F", "66", "sc", "MRI", "Accelerated SAG IR-FSPGR", "Original",
     "2010-01-02"),
)  # fmt: skip


@pytest.fixture
def adni(tmp_path: Path, write_scan: WriteScan) -> Path:
    folder = tmp_path / "download"
    write_loni(write_scan, folder, (tuple(c.replace("/", "-") for c in r) for r in ADNI_ROWS))
    return folder


def test_every_cohort_of_table_1_is_described() -> None:
    described = {each.name: each for each in known_cohorts()}
    assert list(described) == list(_TABLE_1)
    for name, counts in _TABLE_1.items():
        use = described[name].uses[0]
        assert (use.participants, use.scans) == counts
        assert described[name].source
        assert described[name].terms
    assert described["SOOP"].participants == 1704
    trained = [use for each in known_cohorts() for use in each.uses if use.use == "pre-training"]
    assert sum(use.participants for use in trained) == 18759
    assert sum(use.scans or 0 for use in trained) == 44958


def test_a_cohort_is_found_whatever_the_case_of_its_name() -> None:
    assert find_known("habs-hd").name == "HABS-HD"
    with pytest.raises(ConfigError, match="abil: is no known cohort; did you mean 'AIBL'"):
        find_known("abil")


@pytest.mark.parametrize(
    "series",
    ["MPRAGE", "MP-RAGE REPEAT", "MPRAGE SENSE2", "IR-FSPGR", "SAG IR-SPGR", "T1_mprage",
     "t1_mpr_ns", "Sag_3D_FSPGR_BRAVO", "3D T1 TFE", "T1w", "T1W_3D_TFE", "T1-anatomical",
     "MPR; ; N3; Scaled", "MPR-R; GradWarp; B1 Correction", "MPRAGE_ND", "MPRAGE Repeat2"],
)  # fmt: skip
def test_names_of_t1_scans(series: str) -> None:
    assert is_t1_name(series)


@pytest.mark.parametrize(
    "series",
    ["Axial T2 FLAIR", "AXT2", "T1 FLAIR", "3 Plane Localizer T1", "MPRAGE survey",
     "Axial PD/T2 FSE", "T1w_mask", "B1-Calibration", "DTI_gated", "rsfMRI T1", "Field Mapping",
     "2D GRE MT", "anat", "T1 post contrast", "Axial MPR", "ASL_PERFUSION"],
)  # fmt: skip
def test_names_of_other_scans(series: str) -> None:
    assert not is_t1_name(series)


def test_a_cohort_may_have_names_of_its_own() -> None:
    assert is_t1_name("Sub0001_Ses1_Anat", find_known("gsp").t1_names)
    assert is_t1_name("Sub0001_Ses1_Scan_01_ANAT1", find_known("gsp").t1_names)
    assert not is_t1_name("Sub0001_Ses1_Scan_02_BOLD1", find_known("gsp").t1_names)


def test_a_loni_download_gives_its_t1_scans_visit_by_visit(adni: Path) -> None:
    indexed = read("adni", adni)
    assert rows_of(indexed, "scan_id", "session_id", "sex", "diagnosis") == [
        ("ADNI_002_S_1_sc_I1", "sc", "M", "H"), ("ADNI_002_S_1_sc_I2", "sc", "M", "H"),
        ("ADNI_002_S_1_m24_I4", "m24", "M", "MCI"), ("ADNI_100_S_2_m06_I7", "m06", "F", "AD"),
        ("ADNI_100_S_3_sc_I10", "sc", "F", None),
    ]  # fmt: skip
    assert set(indexed.frame["cohort"]) == {"ADNI"}
    np.testing.assert_array_equal(indexed.frame["age_years"], [70, 70, 72, np.nan, 66])
    assert list(indexed.frame["diagnosis_given"]) == ["CN", "CN", "MCI", "Dementia", "Patient"]


def test_what_was_read_how_and_what_was_left_is_told(adni: Path) -> None:
    """Case 81."""
    notes = notes_of(read("adni", adni))
    assert "diagnoses were read so: 'CN' as H (2), 'Dementia' as AD (1), 'MCI' as MCI (1)" in notes
    assert "no condition of the paper: 'Patient' (1); left empty, see diagnosis_given" in notes
    assert "1 processed copies of original series: left" in notes
    assert "4 files are no T1 scans by their name: 'Axial PD-T2 FSE' (1)" in notes
    assert "1 visits have more than one T1 scan, all are listed: 002_S_1 sc" in notes


def test_a_loni_download_without_its_table_goes_by_its_folders(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_loni(write_scan, tmp_path / "d", ADNI_ROWS[3:5], listed=False)
    write_scan("d/stray/brain.nii.gz")
    indexed = read("ADNI", tmp_path / "d")
    assert rows_of(indexed, "participant_id", "session_id", "sex") == [
        ("002_S_1", "2008-04-18", None)
    ]
    assert "no table with a column 'image_data_id'" in notes_of(indexed)
    assert "1 files lie in no SUBJECT/DESCRIPTION/DATE/IMAGE folder" in notes_of(indexed)


def test_a_cohort_may_come_in_several_downloads(tmp_path: Path, write_scan: WriteScan) -> None:
    write_loni(write_scan, tmp_path / "one", ADNI_ROWS[:1])
    write_loni(write_scan, tmp_path / "two", ADNI_ROWS[3:4])
    indexed = read("adni", tmp_path / "one", tmp_path / "two")
    assert rows_of(indexed, "participant_id", "session_id") == [
        ("002_S_1", "sc"),
        ("002_S_1", "m24"),
    ]


@pytest.mark.parametrize(
    ("cohort", "groups", "conditions"),
    [
        ("ADNI", ("EMCI", "LMCI", "SMC", "AD"), ("MCI", "MCI", "H", "AD")),
        ("MCSA", ("CU", "MCI", "Dementia", ""), ("H", "MCI", "AD", None)),
        ("NIFD", ("Control", "Patient", "BV", "L_SD"), ("H", "FTD", "FTD", None)),
        ("PPMI", ("Control", "PD", "GenCohort PD", "SWEDD"), ("H", "PD", "PD", None)),
    ],
)
def test_each_archive_has_its_words_for_the_conditions(
    tmp_path: Path,
    write_scan: WriteScan,
    cohort: str,
    groups: tuple[str, ...],
    conditions: tuple[str | None, ...],
) -> None:
    rows = [
        (f"I{i}", f"p{i}", group, "F", "60", "bl", "MRI", "MPRAGE", "Original", "2012-01-02")
        for i, group in enumerate(groups)
    ]
    write_loni(write_scan, tmp_path / "d", rows)
    assert tuple(read(cohort, tmp_path / "d").frame["diagnosis"]) == conditions


def test_aibl_takes_each_visits_diagnosis_from_its_clinical_table(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    visits = (("I1", "2", "Baseline"), ("I2", "2", "18 Month follow-up"), ("I3", "3", "Baseline"),
              ("I4", "3", "36 Month follow-up"))  # fmt: skip
    rows = [
        (image, who, "", "F", "70", visit, "MRI", "MPRAGE ADNI confirmed", "Original", "2008-05-06")
        for image, who, visit in visits
    ]
    write_loni(write_scan, tmp_path / "d", rows)
    (tmp_path / "d/clinical").mkdir()
    (tmp_path / "d/clinical/aibl_pdxconv_01-Jun-2018.csv").write_text(
        "RID,SITEID,VISCODE,DXCURREN\n2,1,bl,1\n2,1,m18,2\n3,1,bl,3\n3,1,m36,-4\n"
    )
    indexed = read("aibl", tmp_path / "d")
    assert list(indexed.frame["diagnosis"]) == ["H", "MCI", "AD", None]
    assert "1 scans have no line in the clinical table: 3" in notes_of(indexed)
    assert "'1' as H (1), '2' as MCI (1), '3' as AD (1)" in notes_of(indexed)


def test_habs_hd_takes_codes_from_its_clinical_tables(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    rows = [
        (f"I{i}", f"10{i}", "", "M", "66", "Visit 1", "MRI", "T1_mprage", "Original", "2020-01-02")
        for i in range(3)
    ]
    write_loni(write_scan, tmp_path / "d", rows)
    for name, lines in (("HD_1_a.csv", "100,1,0\n101,1,2\n"), ("HD_1_b.csv", "102,1,9\n")):
        (tmp_path / "d" / name).write_text(f"Med_ID,Visit_ID,CDX_Cog\n{lines}")
    assert list(read("habs-hd", tmp_path / "d").frame["diagnosis"]) == ["H", "AD", None]


def test_soop_has_its_stroke_scale_and_who_had_a_stroke(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    for i in (1, 2, 3):
        write_scan(f"s/sub-{i}/anat/sub-{i}_T1w.nii.gz")
        write_scan(f"s/sub-{i}/anat/sub-{i}_FLAIR.nii.gz")
    table = tmp_path / "s/participants.tsv"
    header = "participant_id\tsex\tage\tacuteischaemicstroke\tnihss\n"
    table.write_text(f"{header}sub-1\tM\t70\tyes\t4\nsub-2\tF\t89\tno\tn/a\nsub-3\tF\t\t\t42\n")
    indexed = read("soop", tmp_path / "s")
    assert rows_of(indexed, "participant_id", "diagnosis") == [
        ("sub-1", "S"), ("sub-2", "H"), ("sub-3", None),
    ]  # fmt: skip
    np.testing.assert_array_equal(indexed.frame["nihss"], [4, np.nan, 42])
    table.write_text(f"{header}sub-1\tM\t70\tyes\t43\n")
    with pytest.raises(TableError, match="'nihss' runs from 0 to 42, it cannot be sub-1 '43'"):
        read("soop", tmp_path / "s")


def test_dlbs_has_an_age_for_each_wave(tmp_path: Path, write_scan: WriteScan) -> None:
    for wave in (1, 3):
        write_scan(f"d/sub-7/ses-wave{wave}/anat/sub-7_ses-wave{wave}_run-1_T1w.nii.gz")
    (tmp_path / "d/participants.tsv").write_text(
        "participant_id\tSex\tAgeMRI_W1\tAgeMRI_W2\tAgeMRI_W3\nsub-7\tf\t40\tn/a\t49.5\n"
    )
    indexed = read("dlbs", tmp_path / "d")
    assert rows_of(indexed, "session_id", "age_years", "sex", "diagnosis") == [
        ("ses-wave1", 40.0, "F", "H"), ("ses-wave3", 49.5, "F", "H"),
    ]  # fmt: skip


def test_aomics_three_data_sets_do_not_mix_their_people(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    for name, age in (("ds002785", 22), ("ds003097", 24)):
        write_scan(f"a/{name}/sub-0001/anat/sub-0001_T1w.nii.gz")
        write_scan(f"a/{name}/derivatives/sub-0001/anat/sub-0001_T1w.nii.gz")
        (tmp_path / f"a/{name}/participants.tsv").write_text(
            f"participant_id\tage\tsex\nsub-0001\t{age}\tmale\n"
        )
    indexed = read("aomic", tmp_path / "a")
    expected = [("ds002785-sub-0001", 22.0), ("ds003097-sub-0001", 24.0)]
    assert rows_of(indexed, "participant_id", "age_years") == expected
    alone = read("aomic", tmp_path / "a/ds003097")
    assert rows_of(alone, "participant_id", "age_years") == expected[1:]


@pytest.mark.parametrize(
    ("paths", "site"),
    [
        (("BNU_1/sub-0025001/ses-1/anat/sub-0025001_ses-1_run-1_T1w", "BNU_1/sub-0025001/ses-2/"
          "anat/sub-0025001_ses-2_run-1_T1w",
          "BNU_1/sub-0025001/ses-1/func/sub-0025001_ses-1_bold"),
         "BNU_1"),
        (("RawDataBIDS/NYU_2/sub-0025001/ses-1/anat/sub-0025001_ses-1_T1w", "RawDataBIDS/NYU_2/"
          "sub-0025001/ses-2/anat/sub-0025001_ses-2_T1w"), "NYU_2"),
        (("IACAS_1/0025001/session_1/anat_1/anat", "IACAS_1/0025001/session_2/anat_1/anat",
          "IACAS_1/0025001/session_1/rest_1/rest"), "IACAS_1"),
        (("SWU_25001_baseline/anat_1/NIfTI/anat", "SWU_25001_retest_1/anat_1/NIfTI/anat"), "SWU"),
    ],
    ids=["BIDS", "RawDataBIDS", "sessions", "NITRC"],
)  # fmt: skip
def test_corr_is_read_in_each_form_it_comes_in(
    tmp_path: Path, write_scan: WriteScan, paths: tuple[str, ...], site: str
) -> None:
    for path in paths:
        write_scan(f"c/{path}.nii.gz")
    (tmp_path / "c/CoRR_AggregatedPhenotypicData.csv").write_text(
        "SUBID,SESSION,AGE_AT_SCAN_1,SEX\n25001,Baseline,20.5,1\n25001,Retest_1,20.6,#\n"
    )
    indexed = read("corr", tmp_path / "c")
    assert rows_of(indexed, "age_years", "sex", "site") == [(20.5, "F", site), (20.6, None, site)]
    assert indexed.frame["participant_id"].nunique() == 1
    assert indexed.frame["session_id"].nunique() == 2
    assert list(indexed.frame["diagnosis"]) == ["H", "H"]


def test_sald_is_joined_with_a_table_that_lost_its_zeros(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    for person in ("031274", "031275"):
        write_scan(f"s/RawData_BIDS/sub-{person}/anat/sub-{person}_T1w.nii.gz")
    (tmp_path / "s/sub_information.csv").write_text("Sub_ID,Sex,Age\n31274,M,61\n")
    indexed = read("sald", tmp_path / "s")
    assert rows_of(indexed, "participant_id", "sex", "site") == [
        ("031274", "M", None), ("031275", None, None),
    ]  # fmt: skip
    assert "1 participants are not in the table: 031275" in notes_of(indexed)


def test_gsp_has_a_folder_for_each_session(tmp_path: Path, write_scan: WriteScan) -> None:
    for session in (1, 2):
        for name in ("anat/Sub0001_Ses{}_Anat", "func/Sub0001_Ses{}_Scan_02_BOLD1"):
            write_scan(f"g/Sub0001_Ses{session}/{name.format(session)}.nii.gz")
    (tmp_path / "g/GSP_list_140630.csv").write_text("Subject_ID,Age_Bin,Sex\nSub0001_Ses1,19,F\n")
    (tmp_path / "g/GSP_retest_140630.csv").write_text("Subject_ID,Age_Bin,Sex\nSub0001_Ses2,21,F\n")
    indexed = read("gsp", tmp_path / "g")
    assert rows_of(indexed, "participant_id", "session_id", "age_years", "sex") == [
        ("Sub0001", "Ses1", 19.0, "F"), ("Sub0001", "Ses2", 21.0, "F"),
    ]  # fmt: skip
    assert "2 files are no T1 scans by their place and name" in notes_of(indexed)


def test_ixi_people_are_healthy(tmp_path: Path, write_scan: WriteScan) -> None:
    for name in ("IXI-T1/IXI002-Guys-0828-T1", "IXI-T2/IXI002-Guys-0828-T2"):
        write_scan(f"i/{name}.nii.gz")
    (tmp_path / "i/IXI.csv").write_text('"IXI_ID","SEX_ID (1=m, 2=f)","AGE"\n2,2,35.8\n')
    indexed = read("ixi", tmp_path / "i")
    assert rows_of(indexed, "scan_id", "sex", "age_years", "diagnosis", "site") == [
        ("IXI_IXI002", "F", 35.8, "H", "Guys")
    ]


def test_contradicting_lines_of_an_archive_leave_the_labels_out(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("s/sub-031274/anat/sub-031274_T1w.nii.gz")
    (tmp_path / "s/a.csv").write_text("Sub_ID,Sex,Age\n31274,M,61\n031274,M,16\n")
    indexed = read("sald", tmp_path / "s")
    assert indexed.frame["age_years"].isna().all()
    assert "the tables contradict themselves on 31274: no labels" in notes_of(indexed)


def test_a_folder_of_another_layout_is_refused_with_what_is_wanted(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    write_scan("other/brain.nii.gz")
    with pytest.raises(TableError, match="holds no T1 scan of ADNI; wanted: SUBJECT/DESCRIPTION"):
        read("adni", tmp_path / "other")
    with pytest.raises(TableError, match="is no folder; give the folder of ADNI"):
        read("adni", tmp_path / "gone")


def test_what_was_found_stands_beside_table_1(
    adni: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = read("adni", adni).frame
    people = [{"cohort": "SOOP", "participant_id": f"s{i}", "split": side, "diagnosis": "S"}
              for i, side in enumerate(["train", "train", "test", "validation"])]  # fmt: skip
    more = pd.DataFrame([*people, {"cohort": "mine", "participant_id": "x", "split": None}])
    more["scan_id"] = more["path"] = more["participant_id"]
    both = pd.concat([frame, more], ignore_index=True).assign(bytes=1)
    both.loc[both["scan_id"] == "ADNI_100_S_3_sc_I10", "problem"] = "cut off"
    found = {(each.cohort.name, each.use.use): each for each in found_cohorts(both)}
    assert (found["ADNI", "pre-training"].participants, found["ADNI", "pre-training"].scans) == (
        2,
        4,
    )
    assert found["ADNI", "pre-training"].conditions == ("AD", "H", "MCI")
    assert found["SOOP", "pre-training"].participants == 2
    assert found["SOOP", "held out"].participants == 2
    assert found["IXI", "held out"].participants == 0
    undivided = found_cohorts(both.assign(split=None))
    assert {each.participants for each in undivided if each.cohort.name == "SOOP"} == {None}
    assert other_cohorts(both) == ("mine",)
    write_index(both, tmp_path / "index.parquet")
    assert len(read_index(tmp_path / "index.parquet")) == 10
    assert check(tmp_path / "index.parquet") == 0
    shown = capsys.readouterr().out
    assert "2 / 3,028" in shown
    assert "4 / 18,759" in shown


def test_the_cohorts_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_() == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in _TABLE_1)
    assert show("soop") == 0
    shown = capsys.readouterr().out
    assert "ds004889" in shown
    assert "nihss from 0 to 42" in shown
