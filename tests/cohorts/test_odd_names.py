"""Names and folders as people have them, from the disk through the index and back."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from neurofm.cohorts.failures import write_failures
from neurofm.cohorts.index import read_index, write_index
from neurofm.cohorts.readers import index_sources
from neurofm.errors import TableError

WriteScan = Callable[..., Path]
ODD_NAMES = [
    "with space.nii.gz", "größe-脳.nii.gz", "-o.nii.gz", "--help.nii.gz", "two\nlines.nii.gz",
    "tab\there.nii.gz", "quote'\"s.nii.gz", "a,b;c.nii.gz", "x" * 248 + ".nii.gz", "[red].nii.gz",
]  # fmt: skip


@pytest.mark.parametrize("ending", [".nii.gz", ".NII.GZ", ".nii"])
def test_an_ending_in_any_case_is_found(tmp_path: Path, write_scan: WriteScan, ending: str) -> None:
    """Case 20."""
    source = write_scan("a.nii" + (".gz" if "gz" in ending.lower() else ""))
    source.rename(tmp_path / f"b{ending}")
    assert list(index_sources([tmp_path]).frame["participant_id"]) == ["b"]


def test_odd_names_go_through_the_index_and_back(tmp_path: Path, write_scan: WriteScan) -> None:
    """Case 20."""
    folder = write_scan("odd/plain.nii.gz").parent
    for name in ODD_NAMES:
        write_scan(f"odd/{name}", content=name)
    indexed = index_sources([folder])
    assert indexed.failures == ()
    write_index(indexed.frame, tmp_path / "index.parquet")
    paths = set(read_index(tmp_path / "index.parquet")["path"])
    assert paths == {str(folder / name) for name in [*ODD_NAMES, "plain.nii.gz"]}
    assert not indexed.frame["scan_id"].str.contains(r"\s").any()


def test_a_bad_scan_with_a_newline_in_its_name_is_one_line_and_one_row(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    """Case 20."""
    write_scan("odd/good.nii.gz")
    bad = tmp_path / "odd" / "two\nlines.nii.gz"
    bad.write_bytes(b"")
    indexed = index_sources([tmp_path / "odd"])
    assert [str(failure).count("\n") for failure in indexed.failures] == [0]
    write_failures(indexed.failures, tmp_path / "failures.csv")
    with (tmp_path / "failures.csv").open(encoding="utf-8", newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [str(bad)]


def test_a_name_that_is_no_text_is_a_failure_and_not_a_crash(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    """Case 20: a name in Latin-1, as old archives have it."""
    folder = write_scan("odd/good.nii.gz").parent
    latin = Path(os.fsdecode(os.fsencode(folder) + b"/gr\xf6\xdfe.nii.gz"))
    latin.write_bytes((folder / "good.nii.gz").read_bytes() + b"x")
    indexed = index_sources([folder])
    assert [failure.kind for failure in indexed.failures] == ["name"]
    assert "its name is not UTF-8 text; rename it" in str(indexed.failures[0])
    write_index(indexed.frame, tmp_path / "index.parquet")
    write_failures(indexed.failures, tmp_path / "failures.csv")
    assert any("\\udcf6" in path for path in read_index(tmp_path / "index.parquet")["path"])
    assert not index_sources([folder], verify=False).frame["problem"].isna().all()


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["a/Scan.nii.gz", "a/scan.nii.gz"], "the files"),
        (["a/gro\u0308sse.nii.gz", "a/gr\u00f6sse.nii.gz"], "the files"),
        (["SUB-1_T1w.nii.gz", "x/sub-1_T1w.nii.gz"], None),
    ],
)
def test_names_that_macos_would_merge_are_noted(
    tmp_path: Path, write_scan: WriteScan, names: list[str], what: str | None
) -> None:
    """Case 22."""
    for name in names:
        write_scan(f"odd/{name}")
    notes = [note for note in index_sources([tmp_path / "odd"]).notes if "macOS" in note]
    if what is None:
        assert notes == []
        return
    assert notes[0].startswith(what)
    assert all(Path(name).name in notes[0] for name in names)


def test_participants_who_differ_only_in_case_are_noted(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    """Case 22."""
    for name in "ab":
        write_scan(f"{name}.nii.gz")
    (tmp_path / "s.csv").write_text("participant_id,path\nP1,a.nii.gz\np1,b.nii.gz\n")
    notes = "; ".join(index_sources([tmp_path / "s.csv"]).notes)
    assert "the participants s/P1 and s/p1 differ only in case" in notes


def test_a_dicom_folder_stops_the_work_with_the_way_to_nifti(tmp_path: Path) -> None:
    """Case 17."""
    for name in ("IM0001", "series/1.2.840.113619.7", "series/slice.dcm"):
        path = tmp_path / "study" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" + bytes(99))
    (tmp_path / "study" / "README").write_text("nothing")
    with pytest.raises(TableError, match=r"holds 3 files of DICOM, but no .* dcm2niix -z y"):
        index_sources([tmp_path / "study"])


def test_a_freesurfer_folder_stops_the_work_with_the_way_to_nifti(tmp_path: Path) -> None:
    """Case 17."""
    (tmp_path / "fs" / "mri").mkdir(parents=True)
    (tmp_path / "fs" / "mri" / "T1.mgz").write_bytes(b"x")
    with pytest.raises(TableError, match="holds 1 files of FreeSurfer MGZ, .* nib-convert"):
        index_sources([tmp_path / "fs"])


def test_other_images_beside_nifti_files_are_noted(tmp_path: Path, write_scan: WriteScan) -> None:
    """Case 17."""
    write_scan("study/a.nii.gz")
    (tmp_path / "study" / "b.nrrd").write_bytes(b"NRRD0004")
    notes = "; ".join(index_sources([tmp_path / "study"]).notes)
    assert "study: 1 files of NRRD were left; convert" in notes


def write_series(path: Path, volumes: int) -> None:
    rng = np.random.default_rng(0)
    voxels = rng.integers(1, 900, (14, 14, 14, volumes)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([8.0, 8, 8, 1])), path)


def test_a_chosen_volume_lets_a_series_into_the_index(
    tmp_path: Path, write_scan: WriteScan
) -> None:
    """Case 29."""
    folder = write_scan("study/a.nii.gz").parent
    write_series(folder / "b.nii.gz", 3)
    assert [failure.kind for failure in index_sources([folder]).failures] == ["not-3d"]
    indexed = index_sources([folder], volume_index=2)
    assert indexed.failures == ()
    assert "volume 2 (from 0) of 3 was taken as asked" in "; ".join(indexed.notes)
    too_far = index_sources([folder], volume_index=3)
    assert "has no volume 3: it holds 3" in too_far.failures[0].reason


def test_an_assumed_orientation_lets_a_file_without_one_into_the_index(tmp_path: Path) -> None:
    """Case 43."""
    voxels = np.random.default_rng(0).integers(1, 900, (14, 14, 14)).astype(np.int16)
    image = nib.Nifti1Image(voxels, None)
    image.header.set_zooms((8, 8, 8))
    nib.save(image, tmp_path / "a.nii.gz")
    assert [failure.kind for failure in index_sources([tmp_path]).failures] == ["orientation"]
    indexed = index_sources([tmp_path], assume_orientation="RAS")
    assert indexed.failures == ()
    assert "RAS was assumed as asked" in "; ".join(indexed.notes)


@pytest.mark.parametrize(
    ("mask", "note", "problem"),
    [
        (lambda m: m * np.uint8(255), "the mask reaches 255", None),
        (lambda m: m * np.float32(0.7), "the mask holds probabilities", None),
        (lambda m: m * np.uint8(0), None, "its mask m.nii.gz: the mask is empty; make it again"),
    ],
    ids=["71 0 and 255", "71 probabilities", "69 empty"],
)
def test_a_given_mask_is_read_through(
    tmp_path: Path,
    write_scan: WriteScan,
    mask: Callable[[np.ndarray], np.ndarray],
    note: str | None,
    problem: str | None,
) -> None:
    inside = np.zeros((14, 14, 14), np.uint8)
    inside[3:9, 3:9, 3:9] = 1
    write_scan("a.nii.gz")
    nib.save(nib.Nifti1Image(mask(inside), np.diag([8.0, 8, 8, 1])), tmp_path / "m.nii.gz")
    (tmp_path / "s.csv").write_text("participant_id,path,mask_path\n1,a.nii.gz,m.nii.gz\n")
    indexed = index_sources([tmp_path / "s.csv"])
    assert indexed.frame["problem"].tolist() == [problem]
    assert (note or "") in "; ".join(indexed.notes)
