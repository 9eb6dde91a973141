"""Names of results: BIDS derivatives or TurboPrep's, the same voxels, never both in one folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS, read_index
from neurofm.config import PreprocessConfig, StoreConfig
from neurofm.errors import RunError
from neurofm.files import read_json
from neurofm.preprocess.ants_images import ants_module, ras_matrix
from neurofm.preprocess.batch import preprocess_index
from neurofm.preprocess.itk_transform import itk_mat
from neurofm.preprocess.naming import Layout, output_names
from neurofm.preprocess.turboprep import TurboPrepList, list_turboprep
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import open_store

TURBOPREP = {"normalized.nii.gz", "mask.nii.gz", "segm.nii.gz", "affine_transf.mat"}


def index_of(path: Path) -> pd.DataFrame:
    row = {"scan_id": "c_p1_s2", "cohort": "c", "participant_id": "p1", "session_id": "s2"}
    row |= {"path": str(path), "age_years": 71.5}
    return pd.DataFrame([dict.fromkeys(COLUMNS) | row], columns=list(COLUMNS))


@pytest.fixture(scope="module")
def both(
    known_scan_file: Path, quick_config: PreprocessConfig, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One scan in each layout."""
    folders = {layout: tmp_path_factory.mktemp(layout) for layout in get_args(Layout)}
    for layout, folder in folders.items():
        frame = index_of(known_scan_file)
        done = preprocess_index(frame, folder, quick_config, 0, layout=layout)
        assert done.finished == 1
    return folders


def test_turboprep_has_a_folder_a_scan_with_its_four_names(both: dict[str, Path]) -> None:
    folder = both["turboprep"] / "c" / "sub-p1_ses-s2"
    names = {path.name for path in folder.iterdir()}
    assert names == TURBOPREP | {"normalized.json", "check.png"}


def test_both_layouts_hold_the_same_bytes_and_the_same_contract(both: dict[str, Path]) -> None:
    rows = {layout: read_index(folder / "index.parquet") for layout, folder in both.items()}
    for column in ("image_path", "brain_mask_path", "tissue_path"):
        files = [both[layout] / rows[layout][column][0] for layout in both]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert rows["bids"]["contract"][0] == rows["turboprep"]["contract"][0]


def test_either_layout_can_be_packed(both: dict[str, Path], tmp_path: Path) -> None:
    for layout, folder in both.items():
        pack(folder, tmp_path / layout, StoreConfig(spacing_mm=6), SilentProgress())
        assert len(open_store(tmp_path / layout)) == 1


def test_the_table_names_image_and_mask_relative_to_itself(both: dict[str, Path]) -> None:
    path = both["turboprep"] / "scans.csv"
    with path.open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["image_path"] == "c/sub-p1_ses-s2/normalized.nii.gz"
    assert row["mask_path"] == "c/sub-p1_ses-s2/mask.nii.gz"
    assert (row["participant_id"], row["session_id"], row["age_years"]) == ("p1", "s2", "71.5")
    (scan,) = list_turboprep(TurboPrepList(path, "rigid")).scans
    assert Path(scan.path) == both["turboprep"] / row["image_path"]


def test_ants_reads_the_matlab_transform_as_the_one_that_was_found(
    both: dict[str, Path],
) -> None:
    folder = both["turboprep"] / "c" / "sub-p1_ses-s2"
    read = ras_matrix(ants_module().read_transform(str(folder / "affine_transf.mat")))
    found = np.array(read_json(folder / "normalized.json")["transform"])
    np.testing.assert_allclose(np.linalg.inv(read), found, atol=1e-9)


def test_equal_transforms_are_equal_bytes() -> None:
    transform = np.eye(4) + np.diag([0.5, 0.25], 2)
    assert itk_mat(transform) == itk_mat(transform.copy())
    assert itk_mat(transform) != itk_mat(np.eye(4))


def test_a_folder_keeps_to_its_layout(
    both: dict[str, Path], quick_config: PreprocessConfig, known_scan_file: Path
) -> None:
    frame = index_of(known_scan_file)
    with pytest.raises(RunError, match="say --layout turboprep"):
        preprocess_index(frame, both["turboprep"], quick_config, 0, layout="bids")
    with pytest.raises(RunError, match="say --layout bids"):
        preprocess_index(frame, both["bids"], quick_config, 0, layout="turboprep")
    (both["bids"] / "layout.json").unlink()  # as older versions left it
    with pytest.raises(RunError, match="say --layout bids"):
        preprocess_index(frame, both["bids"], quick_config, 0, layout="turboprep")
    again = preprocess_index(frame, both["turboprep"], quick_config, 0, layout="turboprep")
    assert (again.finished, again.reused) == (0, 1)


def test_scans_of_a_participant_do_not_meet_in_one_folder() -> None:
    rows = [("c_p_s_run-1", "c", "p", "s"), ("c_p_s_run-2", "c", "p", "s"), ("c_p", "c", "p", None)]
    frame = pd.DataFrame(rows, columns=["scan_id", "cohort", "participant_id", "session_id"])
    images = {names.image for names in output_names(frame, "turboprep")}
    assert len(images) == 3


def test_a_cohorts_folder_says_what_its_labels_and_masks_are(both: dict[str, Path]) -> None:
    cohort = both["bids"] / "c"
    about = read_json(cohort / "dataset_description.json")
    assert about["DatasetType"] == "derivative"
    assert about["GeneratedBy"][0]["Name"] == "neurofm"
    with (cohort / "space-MNI152NLin2009cSym_dseg.tsv").open(encoding="utf-8") as file:
        labels = {row["index"]: row["name"] for row in csv.DictReader(file, delimiter="\t")}
    assert labels["2"] == "Gray Matter"
    mask = read_json(cohort / "space-MNI152NLin2009cSym_desc-brain_mask.json")
    assert mask == {"Type": "Brain"}
    assert not (both["turboprep"] / "c" / "dataset_description.json").exists()
