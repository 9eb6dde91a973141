"""The whole path of a study: its stages follow on each other, and a second call changes nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from neurofm import study_workflow
from neurofm.config.preparation import StoreConfig
from neurofm.config.study import StudyConfig, load_study
from neurofm.errors import ConfigError, RunError, TableError
from neurofm.files import read_json
from neurofm.models.weights import load_weights
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import open_store
from neurofm.study.record import read_study
from neurofm.study_workflow import run_study_path
from neurofm.volumes.nifti import write_volume
from neurofm.volumes.volume import Volume
from neurofm.workflow import Prepared

_VALUES: dict[str, Any] = {
    "seeds": 1,
    "fractions": [1.0],
    "common": {
        "store": {"spacing_mm": 6},
        "split": {"task_test_fraction": 0.3, "task_validation_fraction": 0.25},
        "encoder": {"widths": [4, 8, 8, 16], "stem_stride": 2},
        "training": {"epochs": 1, "batch_size": 3},
    },
    "pretraining": {
        "simclr": {"recipe": "simclr-paper", "changes": {"health": {"probe_epochs": 0}}},
    },
    "tasks": [{"name": "age", "title": "Age", "target": "age_years"}],
    "models": [{"name": "probe", "encoder": "simclr"}],
    "evaluation": {"seeds": 1, "bootstrap_samples": 100},
}  # fmt: skip


def _study(folder: Path, **changes: Any) -> StudyConfig:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(_VALUES | changes))
    return load_study(path)


@pytest.fixture
def prepared(
    fake: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Stands in for index, preprocessing and packing; keeps what they were asked for."""
    derivatives = fake.write(tmp_path / "derivatives", 32)
    index = derivatives / "index.parquet"
    frame = pd.read_parquet(index)
    number = frame["participant_id"].str[1:].astype(int)
    frame["split"] = ["pretrain" if each < 4 else "held-out" for each in number]
    frame.to_parquet(index)
    pack(derivatives, tmp_path / "store", StoreConfig(spacing_mm=6.0))
    asked: dict[str, Any] = {}

    def instead(course: Any, stages: Any) -> Prepared:
        asked.update(recipe=course.recipe, sources=list(course.sources), stages=stages)
        return Prepared(frame, (), open_store(tmp_path / "store"))

    monkeypatch.setattr(study_workflow, "prepare", instead)
    return asked


def _run(study: StudyConfig, folder: Path, sources: list[Path]) -> Any:
    return run_study_path(study, sources, folder, 0, SilentProgress())


def test_stages_follow_on_each_other_and_a_second_call_changes_nothing(
    prepared: dict[str, Any], tmp_path: Path
) -> None:
    study, out = _study(tmp_path), tmp_path / "out"
    done = _run(study, out, [tmp_path])
    assert (done.failures, done.study) == ((), out / "study")
    assert prepared["sources"] == [tmp_path]
    assert prepared["recipe"].store.spacing_mm == 6
    assert prepared["recipe"].split.task_test_fraction == 0.3
    weights = load_weights(out / "pretraining" / "simclr")
    record = read_study(out / "study")
    assert record.encoders[0].weights_sha256 == weights.card.weights_sha256
    assert record.study == study
    stages = [row["stage"] for row in read_json(out / "stages.json")]
    assert stages == ["phantoms", "pretrain simclr", "study"]
    before = (out / "study" / "predictions.parquet").read_bytes()
    _run(study, out, [tmp_path])
    assert (out / "study" / "predictions.parquet").read_bytes() == before
    assert load_weights(out / "pretraining" / "simclr").card == weights.card


def test_each_phantom_cohort_has_people_of_its_own(
    prepared: dict[str, Any], tmp_path: Path
) -> None:
    phantom = {"participants": 2, "spacing_mm": 6, "stripped": True, "repeat_fraction": 0}
    cohorts = [{"name": name, "phantom": phantom} for name in ("ONE", "TWO")]
    out = tmp_path / "out"
    _run(_study(tmp_path, cohorts=cohorts), out, [])
    assert prepared["sources"] == [out / "cohorts" / name for name in ("ONE", "TWO")]
    tables = [pd.read_csv(place / "participants.tsv", sep="\t") for place in prepared["sources"]]
    assert [len(table) for table in tables] == [2, 2]
    assert not tables[0].equals(tables[1])


def test_what_cannot_be_run_is_refused(prepared: dict[str, Any], tmp_path: Path) -> None:
    study = _study(tmp_path)
    with pytest.raises(ConfigError, match="no phantom cohorts and no --source was given"):
        _run(study, tmp_path / "out", [])
    with pytest.raises(ConfigError, match="'simclr' has no recipe of its pre-training; carry"):
        _run(_study(tmp_path, pretraining={"simclr": {}}), tmp_path / "out", [tmp_path])
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="no such file or folder"):
        _run(study, tmp_path / "out", [tmp_path / "elsewhere"])
    _run(study, tmp_path / "out", [tmp_path])
    with pytest.raises(RunError, match="another recipe or of other sources"):
        _run(_study(tmp_path, seed=1), tmp_path / "out", [tmp_path])
    assert prepared


def test_missing_labels_of_a_task_stop_a_study_before_anything_is_prepared(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    head = np.random.default_rng(0).integers(1, 900, (20, 20, 20)).astype(np.float32)
    write_volume(scans / "one.nii.gz", Volume(head, np.diag([8.0, 8.0, 8.0, 1.0])))
    with pytest.raises(TableError, match="1 participants without 'age_years': scans/one; label"):
        _run(_study(tmp_path), out, [scans])
    assert not (out / "derivatives").exists()
