"""Each layout of the known cohorts: visits, other series, missing labels and repeated T1 scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from neurofm.cohorts.known.description import find_known
from neurofm.cohorts.readers import index_sources

WriteScan = Callable[..., Path]


@dataclass(frozen=True)
class Tree:
    """A small folder of a layout: visits, T2 and FLAIR, missing labels, repeated T1 scans.

    Attributes:
        scans: the T1 scans that are to be listed.
        others: files that are none.
        tables: text of the tables by their place.
        rows: scan_id, session, age in years and sex of every row, in the order of the paths.
        notes: what is to be told.
    """

    scans: tuple[str, ...]
    others: tuple[str, ...]
    tables: Mapping[str, str]
    rows: tuple[tuple[object, ...], ...]
    notes: tuple[str, ...]


TREES = {
    "AOMIC": Tree(
        scans=(
            "ds002785/sub-0001/anat/sub-0001_T1w",
            "ds003097/sub-0001/ses-1/anat/sub-0001_ses-1_run-1_T1w",
            "ds003097/sub-0001/ses-1/anat/sub-0001_ses-1_run-2_T1w",
            "ds003097/sub-0001/ses-2/anat/sub-0001_ses-2_T1w",
            "ds003097/sub-0003/anat/sub-0003_T1w",
        ),
        others=(
            "ds002785/sub-0001/anat/sub-0001_T2w",
            "ds002785/sub-0002/anat/sub-0002_FLAIR",
            "ds003097/sub-0001/ses-1/anat/sub-0001_ses-1_FLAIR",
        ),
        tables={
            "ds002785/participants.tsv": "participant_id\tage\tsex\n"
            "sub-0001\t22\tmale\nsub-0002\t23\tmale\n",
            "ds003097/participants.tsv": "participant_id\tage\tsex\nsub-0001\tn/a\tfemale\n",
        },
        rows=(
            ("AOMIC_ds002785-sub-0001", None, 22.0, "M"),
            ("AOMIC_ds003097-sub-0001_ses-1_run-1", "ses-1", None, "F"),
            ("AOMIC_ds003097-sub-0001_ses-1_run-2", "ses-1", None, "F"),
            ("AOMIC_ds003097-sub-0001_ses-2", "ses-2", None, "F"),
            ("AOMIC_ds003097-sub-0003", None, None, None),
        ),
        notes=(
            "AOMIC: ds002785: 1 participants have no T1w scan: sub-0002",
            "AOMIC: ds003097: 1 participants are not in the table: sub-0003",
            "AOMIC: ds002785: 2 files are no T1 scans by their name: 'T2w' (1), 'FLAIR' (1)",
            "AOMIC: ds003097: 1 files are no T1 scans by their name: 'FLAIR' (1)",
            "1 visits have more than one T1 scan, all are listed: ds003097-sub-0001 ses-1",
        ),
    ),
    "DLBS": Tree(
        scans=(
            "sub-1/ses-wave1/anat/sub-1_ses-wave1_run-1_T1w",
            "sub-1/ses-wave1/anat/sub-1_ses-wave1_run-2_T1w",
            "sub-1/ses-wave2/anat/sub-1_ses-wave2_T1w",
            "sub-2/ses-wave1/anat/sub-2_ses-wave1_T1w",
            "sub-3/ses-wave1/anat/sub-3_ses-wave1_T1w",
        ),
        others=(
            "sub-1/ses-wave1/anat/sub-1_ses-wave1_T2w",
            "sub-3/ses-wave1/anat/sub-3_ses-wave1_FLAIR",
        ),
        tables={
            "participants.tsv": "participant_id\tSex\tAgeMRI_W1\tAgeMRI_W2\n"
            "sub-1\tf\t40\t44\nsub-2\tn/a\tn/a\t50\n"
        },
        rows=(
            ("DLBS_sub-1_ses-wave1_run-1", "ses-wave1", 40.0, "F"),
            ("DLBS_sub-1_ses-wave1_run-2", "ses-wave1", 40.0, "F"),
            ("DLBS_sub-1_ses-wave2", "ses-wave2", 44.0, "F"),
            ("DLBS_sub-2_ses-wave1", "ses-wave1", None, None),
            ("DLBS_sub-3_ses-wave1", "ses-wave1", None, None),
        ),
        notes=(
            "2 files are no T1 scans by their name: 'T2w' (1), 'FLAIR' (1)",
            "1 participants are not in the table: sub-3",
            "1 visits have more than one T1 scan, all are listed: sub-1 ses-wave1",
        ),
    ),
    "IXI": Tree(
        scans=(
            "IXI-T1/IXI002-Guys-0828-T1",
            "IXI-T1/IXI002-Guys-0911-T1",
            "IXI-T1/IXI012-HH-1211-T1",
            "IXI-T1/IXI020-IOP-0700-T1",
            "again/IXI012-HH-1211-T1",
        ),
        others=(
            "IXI-T2/IXI002-Guys-0828-T2",
            "IXI-PD/IXI002-Guys-0828-PD",
            "IXI002-Guys-0828-FLAIR",
        ),
        tables={"IXI.csv": '"IXI_ID","SEX_ID (1=m, 2=f)","AGE"\n2,2,35.8\n12,1,\n'},
        rows=(
            ("IXI_IXI002_0828", "0828", 35.8, "F"),
            ("IXI_IXI002_0911", "0911", 35.8, "F"),
            ("IXI_IXI012", None, None, "M"),
            ("IXI_IXI020", None, None, None),
            ("IXI_IXI012_2", None, None, "M"),
        ),
        notes=(
            "IXI: 3 files are no T1 scans by their name: 'PD' (1), 'T2' (1), 'FLAIR' (1)",
            "1 scans are not in the table: IXI020",
            "1 visits have more than one T1 scan, all are listed: IXI012",
        ),
    ),
    "CoRR": Tree(
        scans=(
            "BNU_1/sub-0025001/ses-1/anat/sub-0025001_ses-1_run-1_T1w",
            "BNU_1/sub-0025001/ses-1/anat/sub-0025001_ses-1_run-2_T1w",
            "BNU_1/sub-0025001/ses-2/anat/sub-0025001_ses-2_T1w",
            "BNU_1/sub-0025003/anat/sub-0025003_T1w",
            "IACAS_1/0025002/session_1/anat_1/anat",
            "IACAS_1/0025002/session_1/anat_2/anat",
            "IACAS_1/0025002/session_2/anat_1/anat",
            "SWU_25004_baseline/anat_1/NIfTI/anat",
            "SWU_25004_baseline/anat_2/NIfTI/anat",
        ),
        others=(
            "BNU_1/sub-0025001/ses-1/anat/sub-0025001_ses-1_T2w",
            "BNU_1/sub-0025001/ses-2/anat/sub-0025001_ses-2_FLAIR",
            "IACAS_1/0025002/session_1/anat_1/t2",
            "SWU_25004_baseline/flair_1/NIfTI/flair",
        ),
        tables={
            "CoRR.csv": "SUBID,SESSION,AGE_AT_SCAN_1,SEX\n25001,Baseline,20.5,1\n"
            "25001,Retest_1,#,1\n25002,Baseline,30,#\n25003,Baseline,40,2\n"
        },
        rows=(
            ("CoRR_0025001_1_run-1", "1", 20.5, "F"),
            ("CoRR_0025001_1_run-2", "1", 20.5, "F"),
            ("CoRR_0025001_2", "2", None, "F"),
            ("CoRR_0025003", None, 40.0, "M"),
            ("CoRR_0025002_1_run-1", "1", 30.0, None),
            ("CoRR_0025002_1_run-2", "1", 30.0, None),
            ("CoRR_0025002_2_run-1", "2", None, None),
            ("CoRR_25004_baseline_run-1", "baseline", None, None),
            ("CoRR_25004_baseline_run-2", "baseline", None, None),
        ),
        notes=(
            "4 files are no T1 scans by their place and name",
            "1 participants are not in the table: 25004",
            "3 visits have more than one T1 scan, all are listed: 0025001 1, 0025002 1, 25004 b",
        ),
    ),
    "GSP": Tree(
        scans=(
            "Sub0001_Ses1/Sub0001_Ses1_Scan_01_ANAT1",
            "Sub0001_Ses1/Sub0001_Ses1_Scan_03_ANAT2",
            "Sub0001_Ses2/Sub0001_Ses2_Scan_01_ANAT1",
            "Sub0002_Ses1/Sub0002_Ses1_Scan_01_ANAT1",
            "Sub0003_Ses1/Sub0003_Ses1_Scan_01_ANAT1",
        ),
        others=(
            "Sub0001_Ses1/Sub0001_Ses1_Scan_02_BOLD1",
            "Sub0001_Ses1/Sub0001_Ses1_Scan_04_T2",
            "Sub0002_Ses1/Sub0002_Ses1_FLAIR",
        ),
        tables={
            "GSP_list_140630.csv": "Subject_ID,Age_Bin,Sex\nSub0001_Ses1,19,F\nSub0002_Ses1,,M\n",
            "GSP_retest_140630.csv": "Subject_ID,Age_Bin,Sex\nSub0001_Ses2,21,\n",
        },
        rows=(
            ("GSP_Sub0001_Ses1", "Ses1", 19.0, "F"),
            ("GSP_Sub0001_Ses1_2", "Ses1", 19.0, "F"),
            ("GSP_Sub0001_Ses2", "Ses2", 21.0, None),
            ("GSP_Sub0002_Ses1", "Ses1", None, "M"),
            ("GSP_Sub0003_Ses1", "Ses1", None, None),
        ),
        notes=(
            "3 files are no T1 scans by their place and name",
            "1 participants are not in the table: Sub0003",
            "1 visits have more than one T1 scan, all are listed: Sub0001 Ses1",
        ),
    ),
}


@pytest.mark.parametrize("cohort", TREES)
def test_each_layout_has_visits_other_series_missing_labels_and_repeats(
    tmp_path: Path, write_scan: WriteScan, cohort: str
) -> None:
    tree, folder = TREES[cohort], tmp_path / "download"
    paths = [write_scan(f"download/{name}.nii.gz") for name in tree.scans]
    for name in tree.others:
        write_scan(f"download/{name}.nii.gz")
    for name, text in tree.tables.items():
        (folder / name).write_text(text)
    indexed = index_sources([folder], verify=False, known=find_known(cohort))
    assert indexed.frame["path"].to_list() == [str(path) for path in paths]
    assert labels_of(indexed.frame) == list(tree.rows)
    assert indexed.frame["diagnosis"].to_list() == ["H"] * len(paths)
    told = "; ".join(indexed.notes)
    assert [note for note in tree.notes if note not in told] == []


def labels_of(index: pd.DataFrame) -> list[tuple[object, ...]]:
    """The scan_id, session, age and sex of every row, with None for what is missing."""
    frame = index[["scan_id", "session_id", "age_years", "sex"]].astype(object)
    return [tuple(row) for row in frame.where(frame.notna(), None).itertuples(index=False)]
