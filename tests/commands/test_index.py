"""`neurofm index` and `neurofm split` from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.index import COLUMNS, read_index, write_index


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ten sound scans, then one cut off, one series, one of zeros and one that is not there."""
    affine = np.diag([8.0, 8, 8, 1])
    rng = np.random.default_rng(0)
    voxels = {f"ok{i}": rng.integers(0, 900, (14, 14, 14)) for i in range(10)}
    voxels |= {"series": np.ones((14, 14, 14, 20)), "zeros": np.zeros((14, 14, 14))}
    for name, array in voxels.items():
        nib.save(nib.Nifti1Image(array.astype(np.int16), affine), tmp_path / f"{name}.nii.gz")
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "ok0.nii.gz").read_bytes()[:2000])
    names = [*(f"ok{i}" for i in range(10)), "cut", "series", "zeros", "gone"]
    lines = [f"{number:03},{name}.nii.gz,{20 + number}" for number, name in enumerate(names)]
    path = tmp_path / "study.csv"
    path.write_text("\n".join(["participant_id,path,age", *lines]) + "\n")
    return path


def test_bad_scans_are_one_line_and_one_row_each_and_the_rest_is_indexed(
    neurofm: Any, table: Path
) -> None:
    output = table.parent / "out" / "index.parquet"
    done = neurofm("index", table, "-o", output)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for kind, name in (("truncated", "cut"), ("not-3d", "series"), ("constant", "zeros"),
                       ("missing", "gone")):  # fmt: skip
        lines = [line for line in done.stderr.splitlines() if line.startswith(f"{kind} ")]
        assert len(lines) == 1
        assert f"{name}.nii.gz: " in lines[0]
    failures = pd.read_csv(output.parent / "failures.csv")
    assert list(failures["kind"]) == ["truncated", "not-3d", "constant", "missing"]
    assert set(failures["step"]) == {"index"}
    frame = read_index(output)
    assert len(frame) == 14
    assert frame["problem"].notna().sum() == 4
    assert done.stdout.split("study")[1].replace("│", " ").split()[:5] == [
        "14",
        "14",
        "0",
        "14",
        "4",
    ]


def test_options_let_series_and_files_without_orientation_in(neurofm: Any, tmp_path: Path) -> None:
    """Cases 29, 43, and 20: a name that begins with a dash."""
    rng = np.random.default_rng(0)
    series = rng.integers(1, 900, (14, 14, 14, 3)).astype(np.int16)
    lost = nib.Nifti1Image(series[..., 0], None)
    lost.header.set_zooms((8, 8, 8))
    nib.save(nib.Nifti1Image(series, np.diag([8.0, 8, 8, 1])), tmp_path / "-series.nii.gz")
    nib.save(lost, tmp_path / "lost.nii.gz")
    output = tmp_path / "out" / "index.parquet"
    refused = neurofm("index", tmp_path, "-o", output)
    assert refused.returncode == 1
    assert "--volume N" in refused.stderr
    assert "--assume-orientation LAS or RAS" in refused.stderr
    options = ["--volume", "1", "--assume-orientation", "LAS"]
    done = neurofm("index", tmp_path, "-o", output, *options)
    assert done.returncode == 0, done.stderr
    assert "volume 1 (from 0) of 3 was taken as asked" in done.stderr
    assert "LAS was assumed as asked" in done.stderr
    assert not (output.parent / "failures.csv").exists()
    assert neurofm("index", tmp_path, "-o", output, "--assume-orientation", "LPS").returncode != 0


def test_a_mistake_stops_the_command_with_one_line(neurofm: Any, tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    path.write_text("participant,path\n1,a.nii\n")
    done = neurofm("index", path, "-o", tmp_path / "index.parquet")
    assert done.returncode == 2
    assert done.stderr.strip().startswith("TableError: ")
    assert "did you mean 'participant'" in done.stderr
    assert not (tmp_path / "index.parquet").exists()


def test_a_place_that_cannot_be_written_to_is_told_before_any_file_is_read(
    neurofm: Any, table: Path
) -> None:
    """F3."""
    done = neurofm("index", table, "-o", table / "index.parquet")
    assert done.returncode == 2
    assert done.stderr.strip().startswith("RunError: ")
    assert "its folder is a file" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_known_cohort_is_read_by_its_name_and_compared_with_the_paper(
    neurofm: Any, tmp_path: Path
) -> None:
    folder, output = tmp_path / "download", tmp_path / "out" / "gsp.parquet"
    rng = np.random.default_rng(0)
    names = ("Sub0001_Ses1_Scan_01_ANAT1", "Sub0001_Ses1_Scan_02_BOLD1",
             "Sub0001_Ses2_Scan_01_ANAT1", "Sub0002_Ses1_Scan_01_ANAT1")  # fmt: skip
    for name in names:
        place = name[: len("Sub0001_Ses1")]
        (folder / place).mkdir(parents=True, exist_ok=True)
        voxels = rng.integers(1, 900, (14, 14, 14)).astype(np.int16)
        image = nib.Nifti1Image(voxels, np.diag([8.0, 8, 8, 1]))
        nib.save(image, folder / place / f"{name}.nii.gz")
    (folder / "GSP_list.csv").write_text("Subject_ID,Age_Bin,Sex\nSub0001_Ses1,19,F\n")
    done = neurofm("index", "--cohort", "gsp", folder, "-o", output)
    assert done.returncode == 0, done.stderr
    assert "GSP: 1 files are no T1 scans by their place and name" in done.stderr
    assert list(read_index(output)["scan_id"]) == [
        "GSP_Sub0001_Ses1", "GSP_Sub0001_Ses2", "GSP_Sub0002_Ses1",
    ]  # fmt: skip
    checked = neurofm("cohorts", "check", output)
    assert checked.returncode == 0, checked.stderr
    (line,) = [line for line in checked.stdout.splitlines() if "GSP" in line]
    assert [cell.strip() for cell in line.split("│")[3:6]] == ["2 / 1,569", "3 / 1,569", "H"]
    misspelt = neurofm("index", "--cohort", "gps", folder, "-o", output)
    assert misspelt.returncode == 2
    assert "did you mean 'GSP'" in misspelt.stderr


def test_a_split_is_drawn_once_and_never_written_over(neurofm: Any, table: Path) -> None:
    folder = table.parent
    neurofm("index", table, "-o", folder / "index.parquet", "--no-verify")
    recipe = folder / "recipe.yaml"
    recipe.write_text("name: study\nsplit:\n  held_out_fraction: 0.5\n")
    command = [
        "split",
        folder / "index.parquet",
        "--recipe",
        recipe,
        "-o",
        folder / "split.parquet",
    ]
    assert neurofm(*command).returncode == 0
    assert read_index(folder / "split.parquet")["split"].value_counts().to_list() == [7, 7]
    assert neurofm(*command).returncode == 0
    again = neurofm(*command, "seed=1")
    assert again.returncode == 2
    assert "holds another split" in again.stderr
    overwritten = neurofm("index", table, "-o", folder / "split.parquet", "--no-verify")
    assert overwritten.returncode == 2
    assert "already split" in overwritten.stderr


def test_lines_without_participants_are_people_only_when_that_is_said(
    neurofm: Any, table: Path
) -> None:
    frame = pd.read_csv(table, dtype=str)[:10].drop(columns="participant_id")
    frame.to_csv(table, index=False)
    output = table.parent / "index.parquet"
    refused = neurofm("index", table, "-o", output)
    assert refused.returncode == 2
    assert "has no column 'participant_id'" in refused.stderr
    assert not output.exists()
    said = neurofm("index", table, "-o", output, "--one-scan-per-participant")
    assert said.returncode == 0
    assert "10 scans were taken for as many participants, as was said" in said.stderr
    assert list(read_index(output)["participant_id"]) == [str(number) for number in range(1, 11)]


def test_a_misspelt_column_of_participants_is_still_refused(neurofm: Any, table: Path) -> None:
    table.write_text(table.read_text().replace("participant_id", "particpant_id", 1))
    done = neurofm("index", table, "-o", table.parent / "i.parquet", "--one-scan-per-participant")
    assert done.returncode == 2
    assert "did you mean 'particpant_id'" in done.stderr


def test_the_paper_split_leaves_unlabelled_people_out_when_told(
    neurofm: Any, tmp_path: Path
) -> None:
    index, output = tmp_path / "index.parquet", tmp_path / "split.parquet"
    people = [f"{number:02d}" for number in range(20)]
    frame = pd.DataFrame(
        {"cohort": "SOOP", "participant_id": people, "scan_id": people, "path": people,
         "nihss": [None, *range(1, 20)]}
    )  # fmt: skip
    write_index(frame.reindex(columns=[*COLUMNS, "nihss"]), index)
    asked = ("split", index, "--recipe", "simclr-paper", "-o", output, "split.preset=paper")
    stopped = neurofm(*asked)
    assert stopped.returncode == 2
    assert "SOOP/00; label them, or say --drop-unlabelled" in stopped.stderr
    assert neurofm(*asked, "--drop-unlabelled").returncode == 0
    assert list(read_index(output)["split"] == "unused") == [True, *[False] * 19]
