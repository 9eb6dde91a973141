"""The parts of a task: the very people that training leaves alone, and a probe that does too."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.task_roles import TEST, TRAIN, VALIDATION
from neurofm.evaluation import parts
from neurofm.evaluation.linear import Sample, fit_scaling, ridge_path
from neurofm.evaluation.parts import PartedTask, divide, divide_shares
from neurofm.evaluation.probe import PENALTIES, predict_test_part
from neurofm.evaluation.protocol import evaluate
from neurofm.reports.page import write_report
from neurofm.training.task import build_task


@pytest.mark.parametrize("target", ["age_years", "sex"])
def test_the_test_part_is_that_of_training(kit: Any, target: str) -> None:
    recipe = kit.recipe(objective={"kind": "supervised", "target": target})
    trained = build_task(kit.store.index, recipe.objective, recipe.split)
    divided = divide(kit.store.index, target, recipe.split)
    for role, frame in (
        (TRAIN, trained.train), (VALIDATION, trained.validation), (TEST, trained.test),
    ):  # fmt: skip
        of_part = divided.target_of(role)
        assert list(of_part.rows) == sorted(frame.index)
        assert of_part.num_participants == frame["participant_id"].nunique()
        known = [trained.values[int(row)] for row in of_part.rows]
        assert list(of_part.values) == known


def test_shares_are_divided_as_each_alone_and_what_is_missing_is_looked_for_once(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, split, fractions = kit.store.index, kit.recipe().split, (0.25, 0.5, 1.0)
    asked = []
    check = parts.require_told
    monkeypatch.setattr(parts, "require_told", lambda *given: asked.append(check(*given)))
    shares = divide_shares(index, "sex", split, fractions)
    assert len(asked) == 1
    for fraction, share in zip(fractions, shares, strict=True):
        alone = divide(index, "sex", split.model_copy(update={"task_train_fraction": fraction}))
        assert list(share.target.rows) == list(alone.target.rows)
        assert list(share.roles) == list(alone.roles)
    small, half, whole = (set(share.target_of(TRAIN).rows) for share in shares)
    assert small < half < whole


def test_given_parts_are_taken_as_they_stand(kit: Any) -> None:
    index = kit.store.index
    number = index["participant_id"].str[1:].astype(int)
    index["split"] = [("train", "test", "validation", "pretrain")[each % 4] for each in number]
    divided = divide(index, "age_years", kit.recipe().split)
    assert set(divided.target_of(TEST).rows) == set(index.index[index["split"] == "test"])
    assert len(divided.target.rows) == 36


def test_sites_are_told_apart_among_the_held_out_people_only(kit: Any) -> None:
    index = kit.store.index
    index.loc[index["split"] == "pretrain", "site"] = "elsewhere"
    assert divide(index, "site", kit.recipe().split).target.classes == ("fake/east", "fake/west")


def test_a_task_that_cannot_be_divided_says_why(kit: Any) -> None:
    kit.store.index["nobody"] = None
    task = divide(kit.store.index, "nobody", kit.recipe().split)
    assert task.why_not == "not evaluated: no scan with 'nobody' is in the part 'train'"
    assert not len(task.target.rows)
    untested = kit.recipe(split={"task_test_fraction": 0.0}).split
    assert "in the test part" in divide(kit.store.index, "sex", untested).why_not


def test_a_test_part_of_one_class_is_not_evaluated_and_the_page_says_why(
    kit: Any, tmp_path: Path
) -> None:
    """Case 83."""
    index = kit.store.index
    number = index["participant_id"].str[1:].astype(int)
    sides = ("train", "validation", "test", "pretrain")
    index["split"] = [sides[each // 2 % 4] for each in number]  # women and men in each
    index.loc[index["split"] == "test", "sex"] = "F"
    recipe = kit.recipe(evaluation={"parts": "task", "targets": ["sex", "age_years"]})
    why = "not evaluated: the test part has only 'F'"
    assert divide(index, "sex", recipe.split).why_not == why
    record = evaluate(recipe, kit.store, kit.simclr("pre"), tmp_path / "e")
    (sex,) = [task for task in record.tasks if task.task == "sex"]
    assert (sex.notes[-1], sex.positives) == (why, 0)
    assert "sex" not in set(pd.read_parquet(tmp_path / "e" / "results.parquet")["task"])
    page = write_report(tmp_path / "e", None, tmp_path / "page.html").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("<li>sex: ")]
    assert html.unescape(line).endswith(f"{why}</li>")
    assert "<h2>Sex" not in page


def test_the_penalty_is_the_one_that_suits_validation_and_the_fit_is_of_training_alone(
    kit: Any,
) -> None:
    """Against the same written out for one scan a person."""
    task = _one_scan_each(divide(kit.store.index, "age_years", kit.recipe().split))
    stream = np.random.default_rng(0)
    features = stream.normal(size=(len(task.target.rows), 6))
    features[:, 0] += task.target.values / 10
    outcome = predict_test_part(features, task)
    train, validation, test = (task.part(role) for role in (TRAIN, VALIDATION, TEST))
    ones, values = np.ones(int(train.sum())), task.target.values
    scaling = fit_scaling(features[train], ones)
    sample = Sample(scaling.apply(features[train]), values[train], ones)
    tried = ridge_path(sample, scaling.apply(features[validation]), PENALTIES)
    best = ((tried - values[validation]) ** 2).mean(axis=1).argmin()
    slow = ridge_path(sample, scaling.apply(features[test]), PENALTIES)[best]
    assert outcome.prediction == pytest.approx(slow)
    assert list(outcome.target) == list(values[test])


def test_other_features_of_the_test_part_change_no_fitted_model(kit: Any) -> None:
    task = divide(kit.store.index, "sex", kit.recipe().split)
    features = np.random.default_rng(0).normal(size=(len(task.target.rows), 5))
    other, test = features.copy(), task.part(TEST)
    first = int(np.flatnonzero(test)[0])
    other[test] += 100
    other[first] = features[first]
    one, two = (predict_test_part(each, task) for each in (features, other))
    assert one.probabilities[0] == pytest.approx(two.probabilities[0])


def test_without_features_the_test_part_is_given_the_shares_of_the_training_part(
    kit: Any,
) -> None:
    task = divide(kit.store.index, "sex", kit.recipe().split)
    outcome = predict_test_part(np.zeros((len(task.target.rows), 0)), task)
    people = task.target_of(TRAIN)
    share = np.mean([people.values[people.participants == p][0] for p in set(people.participants)])
    assert outcome.probabilities[:, 1] == pytest.approx(share)


def _one_scan_each(task: PartedTask) -> PartedTask:
    _, first = np.unique(task.target.participants, return_index=True)
    kept = np.sort(first)
    target = task.target
    fewer = type(target)(
        target.task, target.kind, target.rows[kept], target.values[kept], target.classes,
        target.participants[kept], tuple(target.keys[place] for place in kept), (),
    )  # fmt: skip
    return PartedTask(fewer, task.roles[kept])
