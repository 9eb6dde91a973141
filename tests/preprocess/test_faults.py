"""Full and read-only disks, killed runs, two writers: nothing finished is lost, nothing is half."""

from __future__ import annotations

import importlib
import os
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neurofm.cohorts.index import write_index
from neurofm.config import PreprocessConfig
from neurofm.errors import RunError
from neurofm.files import only_writer
from neurofm.preprocess.batch import preprocess_index


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return importlib.import_module("batches")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def copies(scan: Path, folder: Path, count: int) -> dict[str, Path]:
    paths = {f"p{number}": folder / f"p{number}.nii.gz" for number in range(count)}
    for path in paths.values():
        shutil.copy(scan, path)
    return paths


def unfinished(folder: Path) -> list[Path]:
    return list(folder.rglob(".unfinished-*"))


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_with_a_line_and_the_work_goes_on_later(
    batches: Any, small_disk: Path, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """F1: ENOSPC in the second scan; the first stays, no half file, later the same result."""
    frame, folder = batches.index_of(copies(scan_file, tmp_path, 2)), small_disk / "out"
    filler = threading.Thread(target=fill_after_the_first_scan, args=(small_disk, folder))
    filler.start()
    with pytest.raises(RunError, match=r"No space left on device.*make room"):
        preprocess_index(frame, folder, quick_config, 0)
    filler.join()
    assert len(list(folder.rglob("sub-*_T1w.json"))) == 1
    assert not unfinished(folder)
    (small_disk / "filler").unlink()
    done = preprocess_index(frame, folder, quick_config, 0)
    assert (done.finished, done.reused) == (1, 1)
    preprocess_index(frame, tmp_path / "whole", quick_config, 0)
    assert batches.results(folder) == batches.results(tmp_path / "whole")


def fill_after_the_first_scan(disk: Path, folder: Path) -> None:
    while not list(folder.rglob("sub-*_T1w.json")):
        time.sleep(0.005)
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_a_file_that_may_not_grow_stops_the_command_with_one_line(
    batches: Any, scan_file: Path, tmp_path: Path
) -> None:
    """F1 without a small disk: a limit on the size of files acts as a full disk does."""
    index, folder = tmp_path / "index.parquet", tmp_path / "out"
    write_index(batches.index_of({"p1": scan_file}), index)
    done = subprocess.run(
        batches.command(index, folder, 1),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("RunError: ")]
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.rglob("*.nii.gz"))
    assert not unfinished(folder)


def test_a_read_only_folder_is_refused_before_any_work(
    batches: Any, small_disk: Path, scan_file: Path, quick_config: PreprocessConfig
) -> None:
    """F3, with the lock of an earlier run in place or not."""
    frame = batches.index_of({"p1": scan_file})
    (small_disk / "used").mkdir()
    (small_disk / "used" / ".lock").touch()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for name in ("new", "used"):
        with pytest.raises(RunError, match="Read-only file system"):
            preprocess_index(frame, small_disk / name, quick_config, 0)


def test_too_little_room_is_told_before_any_work(
    batches: Any, small_disk: Path, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """F4: bytes."""
    frame = batches.index_of(copies(scan_file, tmp_path, 30))
    with pytest.raises(RunError, match=r"30 scans need about 4\.\d MB, but 2\.\d MB are free"):
        preprocess_index(frame, small_disk / "out", quick_config, 0)
    assert not list((small_disk / "out").rglob("sub-*"))


def test_too_few_inodes_are_told_before_any_work(
    batches: Any, small_disk: Path, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """F4: inodes."""
    subprocess.run(["mount", "-o", "remount,nr_inodes=30", str(small_disk)], check=True)
    frame = batches.index_of(copies(scan_file, tmp_path, 4))
    with pytest.raises(RunError, match="need about 36 files"):
        preprocess_index(frame, small_disk / "out", quick_config, 0)


def test_two_processes_do_not_write_to_one_folder(
    batches: Any, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """F5: the second is refused; the lock of a dead process is no obstacle (test_files.py)."""
    with only_writer(tmp_path / "out"), pytest.raises(RunError, match="another neurofm process"):
        preprocess_index(batches.index_of({"p1": scan_file}), tmp_path / "out", quick_config, 0)


def test_leftovers_of_a_killed_run_are_swept(
    batches: Any, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """F7: temporaries in any folder of the output."""
    deep = tmp_path / "out" / "c" / "sub-1" / "anat"
    deep.mkdir(parents=True)
    (deep / ".unfinished-abc.nii.gz").write_bytes(b"half")
    preprocess_index(batches.index_of({}), tmp_path / "out", quick_config, 0)
    assert not unfinished(tmp_path / "out")


@pytest.mark.slow
def test_verify_does_again_what_was_damaged_without_changing_its_size(
    batches: Any, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    frame, folder = batches.index_of({"p1": scan_file}), tmp_path / "out"
    preprocess_index(frame, folder, quick_config, 0)
    (image,) = folder.rglob("*desc-preproc_T1w.nii.gz")
    whole = image.read_bytes()
    image.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    assert preprocess_index(frame, folder, quick_config, 0).reused == 1
    assert preprocess_index(frame, folder, quick_config, 0, verify=True).finished == 1
    assert image.read_bytes() == whole
    assert preprocess_index(frame, folder, quick_config, 0, verify=True).reused == 1


def test_a_run_that_is_killed_ends_with_the_same_results(
    batches: Any, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """P1: kill -9 of the whole process group as soon as a scan is there."""
    killed_and_whole(batches, scan_file, quick_config, tmp_path, scans=2, workers=0, moments=[0.0])


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_with_the_same_results(
    batches: Any, scan_file: Path, quick_config: PreprocessConfig, tmp_path: Path
) -> None:
    """P1: the same at twenty random moments."""
    draw = random.Random(20261123)
    moments = [draw.uniform(0, 1.5) for _ in range(20)]
    killed_and_whole(
        batches, scan_file, quick_config, tmp_path, scans=100, workers=2, moments=moments
    )


def killed_and_whole(
    batches: Any,
    scan: Path,
    config: PreprocessConfig,
    folder: Path,
    *,
    scans: int,
    workers: int,
    moments: list[float],
) -> None:
    """Kill runs this many seconds after each has finished a scan; compare with a quiet run."""
    paths = copies(scan, folder, scans)
    frame, index = batches.index_of(paths), folder / "index.parquet"
    write_index(frame, index)
    for moment in moments:
        assert kill_after(
            batches.command(index, folder / "killed", workers), folder / "killed", moment
        )
    last = subprocess.run(
        batches.command(index, folder / "killed", workers),
        capture_output=True,
        text=True,
        check=False,
    )
    assert last.returncode == 0, last.stderr
    assert ", 0 were there already" not in last.stdout
    assert not unfinished(folder / "killed")
    preprocess_index(frame, folder / "whole", config, workers)
    assert batches.results(folder / "killed") == batches.results(folder / "whole")


def kill_after(command: list[str], folder: Path, seconds: float) -> bool:
    """Kill the command's process group; whether it was still at work."""
    before = finished(folder)
    running = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while running.poll() is None and finished(folder) == before:
        time.sleep(0.01)
    time.sleep(seconds)
    at_work = running.poll() is None
    if at_work:
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    return at_work


def finished(folder: Path) -> int:
    return len(list(folder.rglob("sub-*_T1w.json")))


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_its_processes_and_the_same_command_goes_on(
    batches: Any, scan_file: Path, tmp_path: Path
) -> None:
    index, folder = tmp_path / "index.parquet", tmp_path / "out"
    write_index(batches.index_of(copies(scan_file, tmp_path, 6)), index)
    running = subprocess.Popen(
        batches.command(index, folder, 2),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not finished(folder):
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "Interrupted; the same command continues." in said
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)
    again = subprocess.run(
        batches.command(index, folder, 2), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0


@pytest.mark.slow
def test_bad_scans_in_a_batch_do_not_change_the_good_ones(
    batches: Any,
    scan_file: Path,
    bad_scans: Callable[[Path], dict[str, Path]],
    quick_config: PreprocessConfig,
    tmp_path: Path,
) -> None:
    """20 good and 15 bad scans: the results of the good alone, byte for byte; exit status 1."""
    good = copies(scan_file, tmp_path, 20)
    bad = bad_scans(scan_file)
    assert len(bad) == 15
    both = dict(random.Random(7).sample([*good.items(), *bad.items()], 35))
    write_index(batches.index_of(both), tmp_path / "index.parquet")
    done = subprocess.run(
        batches.command(tmp_path / "index.parquet", tmp_path / "mixed", 2),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    failures = (tmp_path / "mixed" / "failures.csv").read_text(encoding="utf-8").splitlines()
    assert len(failures) == 1 + 15
    preprocess_index(batches.index_of(good), tmp_path / "clean", quick_config, 2)
    mixed, clean = batches.results(tmp_path / "mixed"), batches.results(tmp_path / "clean")
    for found in (mixed, clean):
        found.pop("failures.csv", None)
        found.pop("index.parquet")
    assert mixed == clean
