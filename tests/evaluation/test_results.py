from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurofm.config.learning import EvaluationConfig
from neurofm.errors import RunError
from neurofm.evaluation.baselines import (
    AGE_SEX,
    CONSTANT,
    PRETRAINED,
    RANDOM,
    SITE,
    VOLUMES,
    Model,
    baselines,
)
from neurofm.evaluation.probing import probe_tasks
from neurofm.evaluation.results import Tables, tabulate

CONFIG = EvaluationConfig(
    targets=("age_years", "sex"), folds=3, seeds=2, bootstrap_samples=200, confidence=0.95
)


def people(count: int = 36) -> pd.DataFrame:
    stream = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "scan_id": [f"scan{i}" for i in range(count)],
            "cohort": "phantom",
            "participant_id": [f"{i:03d}" for i in range(count)],
            "age_years": stream.uniform(20, 80, count),
            "sex": ["F", "M"] * (count // 2),
            "site": [f"scanner{i % 3}" for i in range(count)],
            "brain_ml": stream.normal(1300, 80, count),
        }
    )


def encoders(table: pd.DataFrame, site_strength: float = 0.0) -> list[Model]:
    stream = np.random.default_rng(1)
    traits = np.stack(
        [
            (table["age_years"] - 50) / 15,
            (table["sex"] == "M") * 2.0 - 1,
            site_strength * table["site"].astype("category").cat.codes,
        ],
        axis=1,
    )
    noise = stream.normal(size=(len(table), 40))
    good = noise + traits @ stream.normal(size=(3, 40)) * 2
    random = tuple(stream.normal(size=(len(table), 40)) for _ in range(2))
    return [Model(PRETRAINED, (good,)), Model(RANDOM, random)]


def run(table: pd.DataFrame, models: list[Model]) -> tuple[pd.DataFrame, Tables]:
    predictions, tasks = probe_tasks(table, models, CONFIG, 0)
    return predictions, tabulate(predictions, tasks, CONFIG, 0)


@pytest.fixture(scope="module")
def evaluated() -> tuple[pd.DataFrame, Tables]:
    return run(people(), encoders(people()))


def value(tables: Tables, task: str, model: str, metric: str) -> float:
    rows = tables.results.set_index(["task", "model", "metric"])
    return float(rows.loc[(task, model, metric), "value"])


def test_no_baseline_reads_what_it_predicts() -> None:
    names = {task: [m.name for m in baselines(people(), task)] for task in ("age_years", "sex")}
    assert names == {
        "age_years": [VOLUMES, "sex only", SITE, CONSTANT],
        "sex": [VOLUMES, "age only", SITE, CONSTANT],
    }
    assert [m.name for m in baselines(people(), "site")] == [VOLUMES, AGE_SEX, CONSTANT]


def test_every_scan_is_predicted_once_by_each_model_in_each_repeat(
    evaluated: tuple[pd.DataFrame, Tables],
) -> None:
    predictions, _ = evaluated
    counts = predictions.groupby(["task", "model", "seed"])["scan_id"].agg(["size", "nunique"])
    assert (counts == 36).all(axis=None)
    assert set(predictions["task"]) == {"age_years", "sex", "site"}
    assert len(counts) == 2 * (6 + 6 + 5)


def test_folds_of_a_repeat_are_the_same_for_every_model(
    evaluated: tuple[pd.DataFrame, Tables],
) -> None:
    predictions, _ = evaluated
    drawn = predictions.groupby(["task", "seed", "participant"])["fold"].nunique()
    assert (drawn == 1).all()


def test_an_encoder_that_knows_beats_the_baselines_with_intervals_around_the_values(
    evaluated: tuple[pd.DataFrame, Tables],
) -> None:
    _, tables = evaluated
    assert value(tables, "age_years", PRETRAINED, "MAE") < 6
    assert value(tables, "age_years", CONSTANT, "MAE") > 10
    assert value(tables, "sex", PRETRAINED, "AUC") > 0.9
    assert value(tables, "sex", CONSTANT, "AUC") == 0.5
    shown = tables.results.dropna(subset=["value", "low"])
    assert (shown["low"] <= shown["value"] + 1e-9).all()
    assert (shown["high"] >= shown["value"] - 1e-9).all()
    against = tables.comparisons.set_index(["task", "against"])
    assert (against.loc[["age_years", "sex"]]["gain"] > 0).all()
    assert (tables.comparisons["p_holm"] >= tables.comparisons["p"]).all()
    assert against.loc[("age_years", CONSTANT), "p_holm"] < 0.25


def test_the_order_of_the_scans_changes_no_result(
    evaluated: tuple[pd.DataFrame, Tables],
) -> None:
    table = people()
    order = np.random.default_rng(5).permutation(len(table))
    shuffled = [
        Model(model.name, tuple(rows[order] for rows in model.repeats)) for model in encoders(table)
    ]
    _, straight = evaluated
    _, mixed = run(table.iloc[order].reset_index(drop=True), shuffled)
    assert straight.results["value"].to_numpy() == pytest.approx(
        mixed.results["value"].to_numpy(), nan_ok=True, rel=1e-6
    )


def test_few_positives_are_warned_of_with_the_width_of_the_interval(
    evaluated: tuple[pd.DataFrame, Tables],
) -> None:
    _, tables = evaluated
    assert any("sex: only 18 positive" in warning for warning in tables.warnings)


def test_a_site_that_predicts_as_well_as_the_encoder_is_warned_of(
    evaluated: tuple[pd.DataFrame, Tables],
) -> None:
    """Case 92."""
    table = people()
    table["sex"] = np.where(table["site"] == "scanner0", "F", "M")
    models = [Model(PRETRAINED, (np.random.default_rng(0).normal(size=(36, 10)),))]
    _, tables = run(table, models)
    assert any("sex: the site alone" in warning for warning in tables.warnings)
    _, fair = evaluated
    assert not any("the site alone" in warning for warning in fair.warnings)


def test_an_encoder_that_sees_the_scanner_is_shown_to() -> None:
    _, tables = run(people(), encoders(people(), site_strength=3.0))
    assert value(tables, "site", PRETRAINED, "accuracy") > 0.8
    assert value(tables, "site", CONSTANT, "balanced accuracy") == pytest.approx(1 / 3)


def test_a_target_nobody_has_is_noted_and_without_any_other_is_an_error() -> None:
    table = people().assign(diagnosis=None)
    config = CONFIG.model_copy(update={"targets": ("diagnosis", "sex")})
    _, tasks = probe_tasks(table, encoders(table), config, 0)
    assert tasks[0].notes[-1].startswith("not evaluated: 0 participants")
    alone = table.assign(site="one")
    with pytest.raises(RunError, match="none of diagnosis"):
        probe_tasks(
            alone, encoders(table), config.model_copy(update={"targets": ("diagnosis",)}), 0
        )
