"""One site left out: who is learnt from, what is predicted, and when there is nothing to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import build_target
from neurofm.evaluation.baselines import PRETRAINED, Model
from neurofm.evaluation.left_out_sites import left_out_predictions, left_out_table
from neurofm.evaluation.linear import Sample, fit_scaling, ridge_path
from neurofm.evaluation.parts import divide
from neurofm.evaluation.probe import PENALTIES
from neurofm.evaluation.protocol import evaluate
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.subgroups import scans_table


def _frame(count: int = 60) -> pd.DataFrame:
    stream = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "scan_id": [f"s{i:02d}" for i in range(count)],
            "cohort": "c",
            "participant_id": [f"p{i:02d}" for i in range(count)],
            "age_years": stream.uniform(20, 80, count),
            "site": [("x", "y", "z")[i % 3] for i in range(count)],
        }
    )


def _model(frame: pd.DataFrame) -> Model:
    noise = np.random.default_rng(1).normal(size=(len(frame), 4))
    return Model("encoder", (noise + frame["age_years"].to_numpy()[:, None] / 10,))


def test_each_site_is_predicted_by_a_probe_of_the_others_alone() -> None:
    """One of the paths of ridge regression, written out for one scan a person."""
    frame = _frame()
    model, target = _model(frame), build_target(frame, "age_years", 3)
    found = left_out_predictions(frame, [target], lambda _: [model], 0)
    assert sorted(found["scan_id"]) == list(frame["scan_id"])
    assert found.groupby("fold").size().tolist() == [20, 20, 20]
    features, ages = model.repeats[0], frame["age_years"].to_numpy()
    for site, name in enumerate("xyz"):
        inside = (frame["site"] == name).to_numpy()
        ones = np.ones(40)
        scaling = fit_scaling(features[~inside], ones)
        sample = Sample(scaling.apply(features[~inside]), ages[~inside], ones)
        paths = ridge_path(sample, scaling.apply(features[inside]), PENALTIES)
        said = found.loc[found["fold"] == site, "prediction"].to_numpy()
        assert np.abs(paths - said).max(axis=1).min() < 1e-9


def test_who_was_scanned_at_two_sites_is_not_learnt_from_when_either_is_left_out() -> None:
    """Features that name the person: their age would be read off."""
    frame = _frame()
    frame.loc[30:, "participant_id"] = frame["participant_id"].to_numpy()[:30]
    frame.loc[30:, "age_years"] = frame["age_years"].to_numpy()[:30]
    frame["site"] = ["x"] * 20 + ["y"] * 10 + ["y"] * 20 + ["z"] * 10
    names = Model("names", (np.eye(30)[np.arange(60) % 30] * 10,))
    target = build_target(frame, "age_years", 3)
    found = left_out_predictions(frame, [target], lambda _: [names], 0)
    error = (found["prediction"] - found["target"]).abs().mean()
    assert error > 8


def test_the_table_has_a_row_for_each_site_and_model() -> None:
    frame = _frame()
    target = build_target(frame, "age_years", 3)
    found = left_out_predictions(frame, [target], lambda _: [_model(frame)], 0)
    task = TaskRecord(
        task="age_years", kind="regression", classes=(), scans=60, participants=60,
        positives=None, notes=(),
    )  # fmt: skip
    config = EvaluationConfig(bootstrap_samples=100)
    table = left_out_table(found, scans_table(frame), [task], config, 0)
    assert list(table["level"]) == ["c/x", "c/y", "c/z"]
    inside = found["fold"] == 1
    expected = (found["prediction"] - found["target"]).abs()[inside].mean()
    assert table["value"].iloc[1] == pytest.approx(expected)
    assert (table["low"] < table["value"]).all()


def test_two_sites_or_the_site_itself_have_nothing_to_leave_out() -> None:
    frame = _frame()
    sites = build_target(frame, "site", 3)
    assert left_out_predictions(frame, [sites], lambda _: [_model(frame)], 0).empty
    frame["site"] = ["x", "y"] * 30
    target = build_target(frame, "age_years", 3)
    nothing = left_out_predictions(frame, [target], lambda _: [_model(frame)], 0)
    assert nothing.empty
    assert left_out_table(nothing, scans_table(frame), [], EvaluationConfig(), 0).empty


def test_with_parts_only_test_people_are_predicted_and_only_training_people_learnt_from(
    kit: Any,
) -> None:
    index = kit.store.index
    number = index["participant_id"].str[1:].astype(int)
    index["site"] = [("a", "b", "c")[each % 3] for each in number]
    index["split"] = [("train", "test")[each // 3 % 2] for each in number]
    index.loc[number == 21, "split"] = "validation"
    task = divide(index, "age_years", kit.recipe().split)
    features = np.random.default_rng(0).normal(size=(len(index), 3))
    found = left_out_predictions(index, [task], lambda _: [Model("m", (features,))], 0)
    tested = index["split"] == "test"
    assert sorted(found["scan_id"]) == sorted(index["scan_id"][tested])
    changed = features.copy()
    changed[(index["split"] == "validation").to_numpy()] += 100
    again = left_out_predictions(index, [task], lambda _: [Model("m", (changed,))], 0)
    assert np.array_equal(found["prediction"], again["prediction"])


def test_an_evaluation_of_three_sites_has_them(kit: Any, tmp_path: Any) -> None:
    number = kit.store.index["participant_id"].str[1:].astype(int)
    kit.store.index["site"] = [("a", "b", "c")[each % 3] for each in number]
    evaluate(kit.recipe(), kit.store, kit.simclr("pre"), tmp_path / "e")
    found = pd.read_parquet(tmp_path / "e" / "left_out_sites.parquet")
    assert set(found["model"]) == {PRETRAINED}
    assert set(found["task"]) == {"age_years", "sex"}
    table = pd.read_parquet(tmp_path / "e" / "subgroups.parquet")
    assert (table["group"] == "left-out site").sum() == 6
