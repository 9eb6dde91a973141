"""The whole path's own duties: what it tells of the scans, and what each stage cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurofm.cohorts.frozen_split import read_frozen
from neurofm.config.recipe import load_recipe
from neurofm.errors import RunError, TableError
from neurofm.files import read_json
from neurofm.progress import SilentProgress
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume
from neurofm.workflow import Course, Stages, _index, run_recipe


class Crash(Exception):
    pass


def test_a_stage_that_is_repeated_or_interrupted_keeps_one_row(tmp_path: Path) -> None:
    path = tmp_path / "stages.json"
    with pytest.raises(Crash), Stages(path).timed("pack"):
        raise Crash
    with Stages(path).timed("pack"):
        pass
    with Stages(path).timed("report"):
        pass
    rows = read_json(path)
    assert [(row["stage"], row["runs"]) for row in rows] == [("pack", 2), ("report", 1)]
    assert all(row["peak_memory_gb"] > 0 for row in rows)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound scan and an empty file."""
    folder = tmp_path / "scans"
    folder.mkdir()
    head = np.random.default_rng(0).integers(1, 900, (20, 20, 20)).astype(np.float32)
    write_volume(folder / "good.nii.gz", Volume(head, np.diag([8.0, 8.0, 8.0, 1.0])))
    (folder / "bad.nii.gz").write_bytes(b"")
    return folder


def test_unusable_scans_are_told_while_the_index_is_made(tmp_path: Path, source: Path) -> None:
    told = list[str]()
    recipe = load_recipe("demo", ())
    frame = _index(Course(recipe, [source], tmp_path, 0, SilentProgress(), told.append))
    assert len(frame) == 2
    (line,) = [line for line in told if "bad.nii.gz" in line]
    assert "\n" not in line
    assert (tmp_path / "failures.csv").is_file()


def test_the_split_stands_beside_the_index_to_be_handed_on(tmp_path: Path, source: Path) -> None:
    recipe = load_recipe("demo", ("seed=3",))
    course = Course(recipe, [source], tmp_path, 0, SilentProgress(), list[str]().append)
    sides = _index(course).set_index("participant_id")["split"]
    path = tmp_path / "index.split.json"
    frozen = read_frozen(path)
    assert frozen.participants == {f"scans/{who}": sides[who] for who in ("bad", "good")}
    assert frozen.drawn_by["seed"] == 3
    written = path.read_bytes()
    path.unlink()
    _index(course)
    assert path.read_bytes() == written


def test_missing_labels_stop_the_whole_path_before_anything_is_prepared(
    tmp_path: Path, source: Path
) -> None:
    """Who cannot be used anyway needs none."""
    out = tmp_path / "out"
    with pytest.raises(TableError, match="1 participants without 'age_years': scans/good; label"):
        run_recipe(load_recipe("demo"), [source], out, 0, SilentProgress())
    assert {path.name for path in out.iterdir()} <= {".lock", "workflow.json", "stages.json"}


def test_too_few_people_for_a_batch_stop_the_whole_path_before_anything_is_prepared(
    tmp_path: Path, source: Path
) -> None:
    recipe = load_recipe("demo", ("split.drop_unlabelled=true", "split.stratify=[]"))
    with pytest.raises(RunError, match=r"1 participants do not fill a batch of 32; use training"):
        run_recipe(recipe, [source], tmp_path / "out", 0, SilentProgress())
    assert not (tmp_path / "out" / "derivatives").exists()
