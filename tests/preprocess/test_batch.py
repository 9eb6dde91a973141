from __future__ import annotations

import csv
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from neurofm.cohorts.index import COLUMNS, read_index, write_index
from neurofm.config import PreprocessConfig
from neurofm.errors import ContractError
from neurofm.files import read_json
from neurofm.preprocess.batch import BatchResult, preprocess_index
from neurofm.preprocess.contract import contract_of
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume

QUICK = (
    "preprocess.spacing_mm=6", "preprocess.bias_field_spacing_mm=6",
    "preprocess.bias_field_shrink=2", "preprocess.registration_spacing_mm=4",
)  # fmt: skip


def index_of(paths: dict[str, Path]) -> pd.DataFrame:
    rows = [
        dict.fromkeys(COLUMNS)
        | {"scan_id": f"c_{name}", "cohort": "c", "participant_id": name, "path": str(path)}
        for name, path in paths.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture(scope="module")
def mixed(
    known_scan_file: Path, known_scan: Volume, tmp_path_factory: pytest.TempPathFactory
) -> pd.DataFrame:
    """One good scan, one cut short, one 4-D, one of zeros, and one that is not there."""
    place = tmp_path_factory.mktemp("mixed")
    paths = {name: place / f"{name}.nii.gz" for name in ("short", "series", "zeros", "missing")}
    data = known_scan_file.read_bytes()
    paths["short"].write_bytes(data[: len(data) // 2])
    write_volume(paths["zeros"], Volume(np.zeros((56, 56, 56)), known_scan.affine))
    with gzip.open(paths["zeros"]) as file:
        raw = bytearray(file.read())
    raw[40:50] = np.array([4, 56, 56, 56, 2], "<i2").tobytes()
    paths["series"].write_bytes(gzip.compress(bytes(raw) + bytes(raw[352:])))
    return index_of({"good": known_scan_file} | paths)


@pytest.fixture(scope="module")
def done(
    mixed: pd.DataFrame, quick_config: PreprocessConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[BatchResult, Path]:
    """The mixed scans preprocessed, and the folder of their results."""
    folder = tmp_path_factory.mktemp("done") / "out"
    return preprocess_index(mixed, folder, quick_config, workers=0), folder


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.suffix in {".gz", ".txt", ".png"}]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_bad_scans_are_listed_and_the_good_one_is_finished(
    done: tuple[BatchResult, Path], quick_config: PreprocessConfig
) -> None:
    result, folder = done
    assert (result.finished, result.reused) == (1, 0)
    with (folder / "failures.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["participant"] for row in rows] == ["c/short", "c/series", "c/zeros", "c/missing"]
    assert {row["step"] for row in rows} == {"read"}
    assert all(row["kind"] and row["reason"] and "\n" not in row["reason"] for row in rows)
    finished = read_index(folder / "index.parquet")
    assert finished["participant_id"].tolist() == ["good"]
    for column in ("image_path", "brain_mask_path", "tissue_path"):
        assert not Path(finished[column][0]).is_absolute()
        assert (folder / finished[column][0]).is_file()
    assert finished["contract"][0] == contract_of(quick_config).fingerprint()
    assert finished["verdict"][0] == "pass"
    total = finished["csf_ml"][0] + finished["gm_ml"][0] + finished["wm_ml"][0]
    assert finished["brain_ml"][0] == pytest.approx(total, abs=0.01)


def test_the_same_call_keeps_what_is_finished_and_reports_the_rest_again(
    mixed: pd.DataFrame, done: tuple[BatchResult, Path], quick_config: PreprocessConfig
) -> None:
    first, folder = done
    index, before = (folder / "index.parquet").read_bytes(), contents(folder)
    again = preprocess_index(mixed, folder, quick_config, workers=0)
    assert (again.finished, again.reused, again.failures) == (0, 1, first.failures)
    assert (folder / "index.parquet").read_bytes() == index
    assert contents(folder) == before


@pytest.mark.slow
def test_equal_inputs_give_equal_files(
    scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    frame = index_of({"p1": scan_file})
    for folder in ("a", "b"):
        preprocess_index(frame, tmp_path / folder, quick_config, workers=0)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert len(first) == 5
    assert first == second


def test_a_scan_whose_results_are_damaged_or_whose_file_changed_is_done_again(
    scan_file: Path, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    frame, folder = index_of({"p1": scan_file}), tmp_path / "out"
    preprocess_index(frame, folder, quick_config, workers=0)
    image = folder / read_index(folder / "index.parquet")["image_path"][0]
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    assert preprocess_index(frame, folder, quick_config, workers=0).finished == 1
    assert image.read_bytes() == whole
    write_volume(scan_file, Volume(known_scan.array * np.float32(2), known_scan.affine))
    assert preprocess_index(frame, folder, quick_config, workers=0).finished == 1


def test_a_scan_whose_given_mask_changed_is_done_again(
    scan_file: Path, known_scan: Volume, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    mask, folder = tmp_path / "mask.nii.gz", tmp_path / "out"
    frame = index_of({"p1": scan_file}).assign(mask_path=str(mask))
    brain = known_scan.array > 0
    counts = []
    for inside in (brain, brain, ndimage.binary_erosion(brain)):
        write_volume(mask, Volume(inside, known_scan.affine), np.uint8)
        done = preprocess_index(frame, folder, quick_config, workers=0)
        counts.append((done.finished, done.reused))
    assert counts == [(1, 0), (0, 1), (1, 0)]


def test_a_folder_of_another_contract_is_left_alone(
    scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    preprocess_index(index_of({}), folder, quick_config, workers=0)
    other = PreprocessConfig(spacing_mm=3.0)
    with pytest.raises(ContractError, match="another way: step"):
        preprocess_index(index_of({"p1": scan_file}), folder, other, workers=0)


def test_the_sidecar_says_by_what_contract_how_well_and_how_long(
    done: tuple[BatchResult, Path], quick_config: PreprocessConfig
) -> None:
    (sidecar,) = done[1].rglob("sub-*.json")
    record = read_json(sidecar)
    assert record["contract"] == contract_of(quick_config).fingerprint()
    assert record["steps"][0]["name"] == "brain-extraction"
    assert {"neurofm", "antspyx"} <= set(record["software"])
    assert record["quality"]["verdict"] == "pass"
    assert record["seconds"]["registration"] > 0


def command(index: Path, folder: Path, workers: int) -> list[str]:
    return [
        sys.executable, "-c", "from neurofm.commands.app import main; main()",
        "preprocess", str(index), *QUICK, "-o", str(folder), "--workers", str(workers),
    ]  # fmt: skip


def test_the_command_names_each_bad_scan_in_one_line_and_exits_with_1(
    mixed: pd.DataFrame, neurofm: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    index = tmp_path / "index.parquet"
    write_index(mixed, index)
    said = neurofm("preprocess", index, *QUICK, "-o", tmp_path / "out", "--workers", 0)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    for name in ("short", "series", "zeros", "missing"):
        (line,) = [line for line in said.stderr.splitlines() if f"{name}.nii.gz" in line]
        assert ";" in line
    assert len(list((tmp_path / "out").rglob("*desc-preproc_T1w.nii.gz"))) == 1


@pytest.mark.slow
def test_a_killed_worker_loses_no_scan_and_changes_no_result(
    scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """P5: the note says how often, the likely cause, and the option."""
    paths = {f"p{number}": tmp_path / f"p{number}.nii.gz" for number in range(4)}
    for path in paths.values():
        shutil.copy(scan_file, path)
    frame, index = index_of(paths), tmp_path / "index.parquet"
    write_index(frame, index)
    running = subprocess.Popen(
        command(index, tmp_path / "killed", 2), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    killed = False
    while running.poll() is None:
        if not killed and list((tmp_path / "killed").rglob("*desc-preproc_T1w.nii.gz")):
            os.kill(worker_of(running.pid), signal.SIGKILL)
            killed = True
        time.sleep(0.02)
    _, said = running.communicate()
    assert killed
    assert b"1 processes died at work, most likely for lack of memory" in said
    assert b"fewer --workers" in said
    assert running.returncode == 0
    preprocess_index(frame, tmp_path / "whole", quick_config, workers=0)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def worker_of(parent: int) -> int:
    """A child of a process that is at work on scans."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    for child in children:
        if b"scan_process" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("no worker is running")


@pytest.mark.slow
def test_the_folders_of_several_jobs_put_together_are_one(
    scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """The recipe of docs/clusters.md for job arrays."""
    frame = index_of({"p1": scan_file, "p2": scan_file})
    for part in range(2):
        preprocess_index(frame.iloc[part::2], tmp_path / f"part{part}", quick_config, workers=0)
        shutil.copytree(tmp_path / f"part{part}", tmp_path / "all", dirs_exist_ok=True)
    result = preprocess_index(frame, tmp_path / "all", quick_config, workers=0)
    assert (result.finished, result.reused) == (0, 2)
    assert len(read_index(tmp_path / "all" / "index.parquet")) == 2
