"""A study: every cell's predictions, what is kept, what is refused, what a failure costs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.cohorts.task_roles import TEST
from neurofm.config.study import StudyConfig
from neurofm.errors import ConfigError, LeakageError, RunError
from neurofm.evaluation.baselines import AS_TRAINED, RANDOM
from neurofm.evaluation.given import Given
from neurofm.evaluation.openings import OPENINGS
from neurofm.evaluation.parts import divide
from neurofm.evaluation.protocol import evaluate
from neurofm.models.weights import load_weights
from neurofm.study.cells import cell_folder, cell_recipe, trained_places
from neurofm.study.divided import parts_fingerprint
from neurofm.study.opened import Allowed, open_study
from neurofm.study.record import (
    LEFT_OUT,
    PARTS,
    STUDY,
    StudyRecord,
    encoder_probe,
    read_study,
)
from neurofm.study.running import Machinery, run_study
from neurofm.study.tabulating import rebuild_study

_TRAINED = ("from scratch", "fine-tuned")
_HERE = Machinery(workers=0, device="cpu")


@pytest.fixture(scope="module")
def carry_out(study_place: SimpleNamespace) -> Callable[..., tuple[StudyRecord, Any]]:
    def run(study: StudyConfig, folder: Path, **other: Any) -> tuple[StudyRecord, Any]:
        place = study_place
        return run_study(study, place.store, place.weights, folder, _HERE, **other)

    return run


@pytest.fixture(scope="module")
def finished(
    study_place: SimpleNamespace,
    carry_out: Callable[..., tuple[StudyRecord, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "out"
    _, failures = carry_out(study_place.kit.study(), folder)
    assert not failures
    return folder


def _predictions(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions.parquet")


def _times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("cells/**/cell.json")}


@contextmanager
def scanned_at(place: SimpleNamespace, sites: list[str]) -> Iterator[None]:
    """Say of the store's scans, in turn, where they were made."""
    index = place.store.index
    before = index["site"].copy()
    index["site"] = [sites[row % len(sites)] for row in range(len(index))]
    try:
        yield
    finally:
        index["site"] = before


def _openings(place: SimpleNamespace) -> int:
    path = place.store.folder / OPENINGS
    return len(path.read_text().splitlines()) if path.is_file() else 0


@contextmanager
def everybody_held_out(place: SimpleNamespace) -> Iterator[None]:
    """Divide the store otherwise than it was when its encoder was pre-trained."""
    index = place.store.index
    sides, index["split"] = index["split"].copy(), "held-out"
    try:
        yield
    finally:
        index["split"] = sides


def test_every_cell_leaves_predictions_of_the_same_test_people(
    finished: Path, study_place: SimpleNamespace
) -> None:
    found = _predictions(finished)
    of_trained = found[found["model"].isin(_TRAINED)]
    runs = of_trained.groupby(["task", "model", "fraction"])["seed"].unique()
    assert len(runs) == 2 * 2 * 2
    assert all(list(seeds) == ([0, 1] if key[2] == 1 else [0]) for key, seeds in runs.items())
    for target, task in (("sex", "sex"), ("age_years", "age")):
        split = cell_recipe_of(study_place, task).split
        test = divide(study_place.store.index, target, split).target_of(TEST)
        wanted = list(study_place.store.index["scan_id"].iloc[test.rows])
        cells = found[found["task"] == task].groupby(["model", "seed", "fraction"])
        assert all(list(rows["scan_id"]) == wanted for _, rows in cells)
        assert {"probe", RANDOM, "mean or majority"} < set(found["model"])


def cell_recipe_of(place: SimpleNamespace, task: str) -> Any:
    study = place.kit.study()
    return next(cell_recipe(study, *each) for each in trained_places(study) if each[2].task == task)


def test_who_has_which_part_is_on_file_and_not_drawn_again(
    finished: Path, study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    parts = pd.read_parquet(finished / PARTS)
    assert set(parts["task"]) == {"sex", "age", "site"}
    assert set(parts["part"]) == {"train", "validation", "test"}
    assert (parts.groupby(["task", "participant"])["part"].nunique() == 1).all()
    tested = _predictions(finished)[["task", "scan_id"]].drop_duplicates()
    of_test = parts.loc[parts["part"] == "test", ["task", "scan_id"]]
    assert set(of_test.itertuples(index=False)) == set(tested.itertuples(index=False))
    folder = shutil.copytree(finished, tmp_path / "copy")
    kit, before = study_place.kit, _times(folder)
    split = kit.values["common"]["split"] | {"task_seed": 1}
    other = kit.study(common=kit.values["common"] | {"split": split})
    with pytest.raises(RunError, match="'age' was divided otherwise into training, validation"):
        carry_out(other, folder)
    assert _times(folder) == before
    opened = [
        open_study(study, study_place.store, study_place.weights, Allowed())
        for study in (kit.study(), other)
    ]
    own, others = map(parts_fingerprint, opened)
    assert own == read_study(finished).parts_fingerprint != others


def test_a_cell_predicts_what_evaluate_says_of_the_same_run(
    finished: Path, study_place: SimpleNamespace, tmp_path: Path
) -> None:
    study = study_place.kit.study()
    task, model, place = next(
        each for each in trained_places(study) if each[2].model == "fine-tuned"
    )
    recipe = cell_recipe(study, task, model, place)
    run = finished / cell_folder(place) / "run"
    evaluate(recipe, study_place.store, [Given(run)], tmp_path / "e")
    other = _predictions(tmp_path / "e")
    other = other[other["model"] == AS_TRAINED].sort_values("scan_id")
    own = _predictions(finished)
    own = own[(own["model"] == place.model) & (own["task"] == place.task)]
    own = own[(own["seed"] == 0) & (own["fraction"] == 1)].sort_values("scan_id")
    assert np.stack(own["probabilities"].to_list()) == pytest.approx(
        np.stack(other["probabilities"].to_list()), abs=1e-6
    )


def test_fine_tuning_starts_from_the_encoder_and_the_other_from_scratch(
    finished: Path, study_place: SimpleNamespace
) -> None:
    sha256 = load_weights(study_place.weights["simclr"]).card.weights_sha256
    for place in (each[2] for each in trained_places(study_place.kit.study())):
        card = load_weights(finished / cell_folder(place) / "run").card
        assert (card.started_from == sha256) == (place.model == "fine-tuned")


def test_a_smaller_share_trains_on_fewer_people(
    finished: Path, study_place: SimpleNamespace
) -> None:
    counts = {}
    for place in (each[2] for each in trained_places(study_place.kit.study())):
        head = load_weights(finished / cell_folder(place) / "run").card.head
        assert head is not None
        counts[place.fraction] = head.train_participants
    assert counts[0.5] == round(counts[1.0] / 2)


def test_a_share_of_fewer_people_than_a_batch_is_one_batch(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    """Case 84."""
    values = study_place.kit.values
    study = study_place.kit.study(
        tasks=values["tasks"][1:], models=values["models"][:1], seeds=1, fractions=[0.2, 1.0]
    )
    _, failures = carry_out(study, tmp_path / "out")
    assert not failures
    for place in (each[2] for each in trained_places(study)):
        card = load_weights(tmp_path / "out" / cell_folder(place) / "run").card
        assert card.head is not None
        assert card.recipe is not None
        batch = card.recipe["training"]["batch_size"]
        assert batch == min(3, card.head.train_participants) == (2 if place.fraction < 1 else 3)


def test_results_have_every_share_and_comparisons_the_whole(finished: Path) -> None:
    results = pd.read_parquet(finished / "results.parquet")
    assert set(results["fraction"]) == {0.5, 1.0}
    compared = pd.read_parquet(finished / "comparisons.parquet")
    assert set(compared["model"]) == {"fine-tuned"}
    assert {"from scratch", "probe", RANDOM} < set(compared["against"])
    assert (compared["p_holm"] >= compared["p"]).all()


def test_validation_chooses_the_threshold_and_shows_the_bias_of_every_cell(finished: Path) -> None:
    found = _predictions(finished)
    trained = found[found["model"].isin(_TRAINED)]
    assert trained.loc[trained["task"] == "age", "corrected"].notna().all()
    assert trained.loc[trained["task"] == "sex", "corrected"].isna().all()
    assert trained.loc[trained["task"] == "sex", "threshold"].notna().any()


def test_all_tables_follow_from_the_predictions(finished: Path, tmp_path: Path) -> None:
    names = ("results", "comparisons", "calibration", "subgroups")
    files = [tmp_path / f"{name}.parquet" for name in names]
    for name in ("predictions.parquet", "scans.parquet", LEFT_OUT, STUDY):
        shutil.copy(finished / name, tmp_path)
    assert rebuild_study(tmp_path) == tuple(file.name for file in files)
    for file in files:
        own, saved = pd.read_parquet(file), pd.read_parquet(finished / file.name)
        pd.testing.assert_frame_equal(own, saved, check_exact=True)
    assert rebuild_study(tmp_path) == ()


def test_rows_stand_in_the_order_of_the_study(finished: Path) -> None:
    results = pd.read_parquet(finished / "results.parquet")
    assert list(results["task"].unique()) == ["sex", "age", "site"]
    asked = results[results["task"] != "site"]
    for _, rows in asked.groupby(["task", "fraction", "metric"]):
        assert list(rows["model"])[:3] == ["from scratch", "probe", "fine-tuned"]


def test_the_same_call_again_trains_nothing_and_says_the_same(
    finished: Path, study_place: SimpleNamespace, carry_out: Callable[..., Any]
) -> None:
    before, said = _times(finished), _predictions(finished)
    carry_out(study_place.kit.study(), finished)
    assert _times(finished) == before
    pd.testing.assert_frame_equal(_predictions(finished), said)


def test_encoders_and_baselines_are_asked_for_the_site_though_the_study_does_not(
    finished: Path,
) -> None:
    record, found = read_study(finished), _predictions(finished)
    assert record.site is not None
    assert [task.task for task in record.asked] == ["sex", "age"]
    assert record.site.classes == ("fake/east", "fake/west")
    rows = found[found["task"] == "site"]
    assert {encoder_probe("simclr"), RANDOM, "age + sex"} < set(rows["model"])
    assert set(rows["fraction"]) == {1.0}
    assert (rows.groupby(["model", "seed"]).size() == record.site.scans).all()


def test_a_study_that_asks_for_the_site_or_has_one_gets_no_second_task(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    kit = study_place.kit
    models = kit.values["models"][1:2]
    site = {"name": "scanner", "title": "Scanner", "target": "site"}
    record, _ = carry_out(kit.study(models=models, tasks=[site]), tmp_path / "asked")
    assert [task.task for task in record.tasks] == ["scanner"]
    with scanned_at(study_place, ["north"]):
        record, _ = carry_out(
            kit.study(models=models, tasks=kit.values["tasks"][1:]), tmp_path / "one"
        )
    assert record.site is None
    assert pd.read_parquet(tmp_path / "one" / LEFT_OUT).empty


def test_with_three_sites_each_is_predicted_by_what_was_learnt_at_the_others(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    kit, out = study_place.kit, tmp_path / "out"
    study = kit.study(models=kit.values["models"][1:2], fractions=[1.0])
    with scanned_at(study_place, ["north", "east", "west"]):
        carry_out(study, out)
        found, tested = pd.read_parquet(out / LEFT_OUT), _predictions(out)
        assert set(found["task"]) == {"sex", "age"}
        models = {encoder_probe("simclr"), RANDOM, "sex only", "mean or majority"}
        for (task, model), rows in found.groupby(["task", "model"]):
            people = tested.loc[tested["task"] == task, "scan_id"]
            assert sorted(rows["scan_id"]) == sorted(people.unique()), model
        assert models < set(found["model"])
        assert "site only" not in set(found["model"])
        parts = pd.read_parquet(out / "subgroups.parquet")
        assert set(parts.loc[parts["group"] == "left-out site", "task"]) == {"sex", "age"}
        (out / LEFT_OUT).unlink()
        assert rebuild_study(out) == ("subgroups.parquet",)
        carry_out(study, out)
    pd.testing.assert_frame_equal(pd.read_parquet(out / LEFT_OUT), found)


def test_a_label_that_follows_from_the_site_is_warned_of(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    """Case 92."""
    kit, index = study_place.kit, study_place.store.index
    study = kit.study(models=kit.values["models"][1:2], tasks=kit.values["tasks"][:1])
    sites = ["north" if sex == "F" else "south" for sex in index["sex"]]
    with scanned_at(study_place, sites):
        record, _ = carry_out(study, tmp_path / "out")
    assert any("the label follows from the site" in text for text in record.warnings)


def test_a_scoring_is_counted_once_and_again_only_where_something_new_is_scored(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    kit, out = study_place.kit, tmp_path / "out"
    models, tasks = kit.values["models"][:2], kit.values["tasks"][1:]
    study = kit.study(models=models, tasks=tasks, seeds=1, fractions=[1.0])
    before = _openings(study_place)
    first, _ = carry_out(study, out)
    assert _openings(study_place) == before + 2
    assert all(task.scored for task in first.tasks)
    shutil.rmtree(next(iter(_times(out))).parent)
    again, _ = carry_out(study, out)
    assert again.tasks == first.tasks
    assert _openings(study_place) == before + 2
    more, _ = carry_out(kit.study(models=models, tasks=tasks, seeds=2, fractions=[1.0]), out)
    assert first.tasks[0].scored is not None
    assert more.tasks[0].scored == first.tasks[0].scored + 1
    assert more.site == first.site
    assert _openings(study_place) == before + 3


def test_a_store_that_cannot_be_written_to_leaves_a_scoring_uncounted_and_says_so(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    kit, path = study_place.kit, study_place.store.folder / OPENINGS
    kept = path.read_bytes() if path.is_file() else None
    path.unlink(missing_ok=True)
    path.mkdir()
    try:
        study = kit.study(models=kit.values["models"][1:2], fractions=[1.0])
        record, _ = carry_out(study, tmp_path / "out")
    finally:
        path.rmdir()
        if kept is not None:
            path.write_bytes(kept)
    assert [task.scored for task in record.tasks] == [None] * 3
    assert sum("this scoring is not counted" in text for text in record.warnings) == 1
    assert record.scored_by == {}


def test_an_unfinished_cell_is_done_again_and_alone(
    finished: Path, study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    before, said = _times(folder), _predictions(folder)
    lost = next(iter(before))
    shutil.rmtree(lost.parent)
    carry_out(study_place.kit.study(), folder)
    after = _times(folder)
    assert [path for path in before if before[path] != after[path]] == [lost]
    pd.testing.assert_frame_equal(_predictions(folder), said)


def test_another_seed_adds_cells_and_keeps_the_others(
    finished: Path, study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    before = _times(folder)
    models = study_place.kit.values["models"][:2]
    record, _ = carry_out(study_place.kit.study(seeds=3, models=models, ours="probe"), folder)
    after = _times(folder)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2
    assert record.cells == 2 * (3 + 1)


def test_an_encoder_that_has_seen_test_people_is_refused_before_anything_is_trained(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    with (
        everybody_held_out(study_place),
        pytest.raises(LeakageError, match="seen in pre-training"),
    ):
        carry_out(study_place.kit.study(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cell_that_fails_costs_only_itself(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    models = [
        {"name": "too fast", "recipe": "finetune-simclr",
         "changes": {"training": {"learning_rate": 1e30, "epochs": 4}}},
        {"name": "fine", "recipe": "finetune-simclr"},
    ]  # fmt: skip
    tasks = study_place.kit.values["tasks"][1:]
    study = study_place.kit.study(models=models, tasks=tasks, seeds=1, fractions=[1.0])
    record, failures = carry_out(study, tmp_path / "out")
    assert [failure.participant for failure in failures] == ["age: too fast, run 1"]
    assert record.failed == ("age: too fast, run 1",)
    assert "too fast" in (tmp_path / "out" / "failures.csv").read_text()
    found = _predictions(tmp_path / "out")
    assert "fine" in set(found["model"])
    assert "too fast" not in set(found["model"])


def test_what_does_not_go_together_is_refused(
    study_place: SimpleNamespace, tmp_path: Path, finished: Path
) -> None:
    kit, store = study_place.kit, study_place.store
    with pytest.raises(ConfigError, match="start from 'simclr'; add --weights simclr=FOLDER"):
        run_study(kit.study(), store, {}, tmp_path / "out", _HERE)
    other = study_place.weights | {"mae": tmp_path}
    with pytest.raises(ConfigError, match="no model of the study starts from 'mae'"):
        run_study(kit.study(), store, other, tmp_path / "out", _HERE)
    nobody = [{"name": "x", "title": "X", "target": "sex", "cohorts": ["elsewhere"]}]
    with pytest.raises(RunError, match="'x' has nothing to test"):
        run_study(kit.study(tasks=nobody), store, study_place.weights, tmp_path / "out", _HERE)
    assert not (tmp_path / "out" / STUDY).exists()


def test_allowed_overlap_is_said(
    study_place: SimpleNamespace, carry_out: Callable[..., Any], tmp_path: Path
) -> None:
    study = study_place.kit.study(models=study_place.kit.values["models"][1:2])
    with everybody_held_out(study_place):
        record, _ = carry_out(study, tmp_path / "out", allowed=Allowed(overlap=True))
    seen = [text for text in record.warnings if "seen in pre-training, as was allowed" in text]
    assert len(seen) == 2
    assert "held out, of a training part" in seen[1]
    assert record.encoders[0].overlap
    assert [count.participants for count in record.encoders[0].trained_on] == [4]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As each process that does cells has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_processes_side_by_side_give_the_same_predictions(
    study_place: SimpleNamespace, tmp_path: Path
) -> None:
    tasks = study_place.kit.values["tasks"][:1]
    study = study_place.kit.study(tasks=tasks, seeds=1)
    for workers in (0, 2):
        machinery = Machinery(workers, device="cpu")
        folder = tmp_path / str(workers)
        run_study(study, study_place.store, study_place.weights, folder, machinery)
    pd.testing.assert_frame_equal(*(_predictions(tmp_path / name) for name in ("0", "2")))


@pytest.mark.usefixtures("one_thread")
def test_a_cluster_in_this_process_does_a_cell_as_this_machine_does(
    study_place: SimpleNamespace, tmp_path: Path
) -> None:
    """The quick one of two: real workers of a cluster are in the slow test below."""
    distributed, kit = pytest.importorskip("distributed"), study_place.kit
    study = kit.study(
        models=kit.values["models"][:1], tasks=kit.values["tasks"][1:], seeds=1, fractions=[1.0]
    )
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://",
        dashboard_address=None,
    ) as cluster:  # fmt: skip
        machinery = Machinery(cluster=cluster.scheduler_address, device="cpu")
        _, failures = run_study(study, study_place.store, {}, tmp_path / "there", machinery)
    assert not failures
    run_study(study, study_place.store, {}, tmp_path / "here", _HERE)
    pd.testing.assert_frame_equal(*(_predictions(tmp_path / name) for name in ("there", "here")))


@pytest.mark.slow
def test_a_cluster_does_the_cells_too(study_place: SimpleNamespace, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    tasks = study_place.kit.values["tasks"][:1]
    study = study_place.kit.study(tasks=tasks, seeds=1, fractions=[1.0])
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None
    ) as cluster:
        machinery = Machinery(cluster=cluster.scheduler_address, device="cpu")
        _, failures = run_study(
            study, study_place.store, study_place.weights, tmp_path / "out", machinery
        )
    assert not failures
    assert {"from scratch", "fine-tuned"} < set(_predictions(tmp_path / "out")["model"])
