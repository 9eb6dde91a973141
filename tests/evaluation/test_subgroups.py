"""Subgroups: the numbers of the scans in them, a reason where they are too few."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from neurofm.config.learning import EvaluationConfig
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.subgroups import confounding_warnings, scans_table, subgroup_table

CONFIG = EvaluationConfig(bootstrap_samples=100)
COUNT = 80


def index() -> pd.DataFrame:
    """Eighty people, one scan each, a hundred years old at most; site "few" has four of them."""
    stream = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "scan_id": [f"s{i:03d}" for i in range(COUNT)],
            "cohort": "c",
            "participant_id": [f"p{i:03d}" for i in range(COUNT)],
            "age_years": stream.uniform(20, 59.9, COUNT),
            "sex": ["F", "M"] * (COUNT // 2),
            "site": ["few" if i < 4 else "many" for i in range(COUNT)],
        }
    )


def predictions(task: str, target: np.ndarray, seed: int = 1) -> pd.DataFrame:
    score = np.random.default_rng(seed).random(COUNT) * 0.7 + 0.3 * (target == 1)
    table = index()
    return pd.DataFrame(
        {
            "participant": "c/" + table["participant_id"],
            "scan_id": table["scan_id"],
            "task": task,
            "model": "ours",
            "seed": 0,
            "fold": 0,
            "target": target.astype(float),
            "prediction": score * 10,
            "probabilities": list(np.stack([1 - score, score], 1)),
            "threshold": 0.5,
        }
    )


def record(task: str, kind: str, classes: tuple[str, ...] = ()) -> TaskRecord:
    return TaskRecord.model_validate(
        {
            "task": task, "kind": kind, "classes": classes, "scans": COUNT,
            "participants": COUNT, "positives": None, "notes": (),
        }
    )  # fmt: skip


def table_of(found: pd.DataFrame, task: TaskRecord) -> pd.DataFrame:
    scans = scans_table(index())
    rows = subgroup_table(found, scans, [task], CONFIG, 0, models=["ours"])
    return rows.set_index(["group", "level"])


def test_each_level_has_the_metric_of_its_scans() -> None:
    sick = np.random.default_rng(3).random(COUNT) < 0.4
    found = predictions("diagnosis", sick)
    rows = table_of(found, record("diagnosis", "binary", ("H", "AD")))
    assert [group for group, _ in rows.index] == ["sex", "sex", "age", "age", "site", "site"]
    for sex in ("F", "M"):
        inside = (index()["sex"] == sex).to_numpy()
        score = np.stack(found["probabilities"].to_list())[inside, 1]
        row = rows.loc[("sex", sex)]
        assert row["value"] == pytest.approx(roc_auc_score(sick[inside], score))
        assert row["low"] < row["value"] < row["high"]
        assert (row["participants"], row["positives"]) == (40, sick[inside].sum())
        assert row["note"] == ""


def test_ages_are_grouped_by_twenty_years() -> None:
    ages = index()["age_years"].to_numpy()
    found = predictions("brain_ml", ages)
    rows = table_of(found, record("brain_ml", "regression"))
    young = ages < 40
    expected = mean_absolute_error(ages[young], found["prediction"][young])
    assert rows.loc[("age", "20 to 39 years"), "value"] == pytest.approx(expected)
    assert ("age", "40 to 59 years") in rows.index


def test_too_few_participants_or_too_few_of_a_class_have_a_reason_and_no_number() -> None:
    """Case 83: one class only in a part of the people."""
    sick = np.zeros(COUNT, bool)
    sick[40:79:2] = True  # all women
    rows = table_of(predictions("diagnosis", sick), record("diagnosis", "binary", ("H", "AD")))
    few, men = rows.loc[("site", "c/few")], rows.loc[("sex", "M")]
    assert few["note"] == "only 4 participants, fewer than 10"
    assert men["note"] == "only 0 participants are AD, fewer than 5"
    assert np.isnan([few["value"], men["value"], men["low"]]).all()


def test_nobody_is_grouped_by_what_is_predicted() -> None:
    rows = table_of(predictions("sex", np.arange(COUNT) % 2), record("sex", "binary", ("F", "M")))
    assert {group for group, _ in rows.index} == {"age", "site"}


def test_a_task_of_another_name_is_known_by_what_it_predicts() -> None:
    sex = record("IXI sex", "binary", ("F", "M"))
    found, scans = predictions("IXI sex", np.arange(COUNT) % 2), scans_table(index())
    rows = subgroup_table(
        found, scans, [sex], CONFIG, 0, models=["ours"], targets={"IXI sex": "sex"}
    )
    assert set(rows["group"]) == {"age", "site"}
    few = np.arange(COUNT) < 4
    where = record("where", "binary", ("few", "many"))
    found = predictions("where", few)
    assert confounding_warnings(found, scans, [where], {"where": "cohort"}) == ()
    assert len(confounding_warnings(found, scans, [where])) == 1


def test_an_index_without_labels_has_no_subgroups() -> None:
    bare = index()[["scan_id", "cohort", "participant_id"]]
    scans = scans_table(bare)
    task = record("diagnosis", "binary", ("H", "AD"))
    found = predictions("diagnosis", np.arange(COUNT) % 2)
    assert subgroup_table(found, scans, [task], CONFIG, 0, models=["ours"]).empty


def test_a_label_that_follows_from_the_site_is_warned_of() -> None:
    """Case 92."""
    task = record("diagnosis", "binary", ("H", "AD"))
    scans = scans_table(index())
    few = np.arange(COUNT) < 4
    (text,) = confounding_warnings(predictions("diagnosis", few), scans, [task])
    assert text.startswith("diagnosis: every one of 2 sites has people of one class only")
    few[0] = False
    assert confounding_warnings(predictions("diagnosis", few), scans, [task]) == ()
    alone = scans.assign(site="one")
    assert confounding_warnings(predictions("diagnosis", few), alone, [task]) == ()
