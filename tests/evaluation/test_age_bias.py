"""The age bias: found where nobody is tested, taken out of a copy, and called no accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neurofm.config.learning import EvaluationConfig
from neurofm.data.targets import Target
from neurofm.evaluation.age_bias import NO_ACCURACY
from neurofm.evaluation.baselines import CONSTANT, PRETRAINED, Model
from neurofm.evaluation.bias_line import fit_bias_line
from neurofm.evaluation.contenders import AsTrained
from neurofm.evaluation.metrics import bias_slope
from neurofm.evaluation.parts import PartedTask
from neurofm.evaluation.probe import cross_validate, predict_test_part
from neurofm.evaluation.probing import probe_tasks
from neurofm.evaluation.record import TaskRecord
from neurofm.evaluation.results import Tables, tabulate
from neurofm.reports.tables import task_tables

_PLAIN = EvaluationConfig(folds=3, seeds=1, bootstrap_samples=100, neighbours=False)
_ASKED = _PLAIN.model_copy(update={"age_bias_correction": True})
_COUNT = 60


def _ages() -> np.ndarray:
    return np.random.default_rng(0).uniform(20, 80, _COUNT)


def _features() -> np.ndarray:
    noise = np.random.default_rng(1).normal(size=(_COUNT, 20))
    return noise + _ages()[:, None] / 60


def _target() -> Target:
    return Target(
        "age_years", "regression", np.arange(_COUNT), _ages(), (), np.arange(_COUNT),
        tuple(f"c/{number}" for number in range(_COUNT)), (),
    )  # fmt: skip


def _parted() -> PartedTask:
    roles = np.array(["train", "validation", "test"] * (_COUNT // 3), dtype=object)
    return PartedTask(_target(), roles)


@pytest.fixture(scope="module")
def predicted() -> tuple[pd.DataFrame, tuple[TaskRecord, ...]]:
    frame = pd.DataFrame(
        {
            "scan_id": [f"scan{number:02d}" for number in range(_COUNT)],
            "cohort": "phantom",
            "participant_id": [f"{number:02d}" for number in range(_COUNT)],
            "age_years": _ages(),
            "sex": ["F", "M"] * (_COUNT // 2),
            "site": None,
        }
    )
    return probe_tasks(frame, [Model(PRETRAINED, (_features(),))], _ASKED, 0)


def _shown(tables: Tables) -> set[str]:
    return set(tables.results.loc[tables.results["metric"].str.startswith("corrected"), "task"])


def test_the_line_is_that_of_weighted_least_squares() -> None:
    stream = np.random.default_rng(2)
    truth, weights = _ages(), stream.uniform(0.5, 2, _COUNT)
    said = 50 + 0.4 * (truth - 50) + stream.normal(size=_COUNT)
    slope, intercept = np.polyfit(truth, said - truth, 1, w=np.sqrt(weights))
    line = fit_bias_line(said, truth, weights)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    rest = line.taken_from(said, truth) - truth
    assert np.polyfit(truth, rest, 1, w=np.sqrt(weights)) == pytest.approx([0, 0], abs=1e-9)


def test_without_two_ages_there_is_no_line() -> None:
    line = fit_bias_line(np.ones(3), np.full(3, 50.0), np.ones(3))
    assert np.isnan(line.taken_from(np.ones(3), np.arange(3.0))).all()


def test_a_network_is_corrected_by_what_validation_shows_alone() -> None:
    task, truth = _parted(), _ages()
    said = truth + np.where(task.part("validation"), 10 - 0.5 * truth, 0)
    outcome = AsTrained("net", (said[:, None],), (False,), (1.0,)).outcome(task, 0)
    tested = truth[task.part("test")]
    assert outcome.prediction == pytest.approx(tested)
    assert outcome.corrected == pytest.approx(tested - (10 - 0.5 * tested))


@pytest.mark.parametrize("by_parts", [True, False])
def test_a_probe_loses_its_bias_and_whom_it_tests_does_not_decide_how(by_parts: bool) -> None:
    outcome = (
        predict_test_part(_features(), _parted())
        if by_parts
        else cross_validate(_features(), _target(), 3, 0, 0)
    )
    assert outcome.corrected is not None
    once = np.ones((1, len(outcome.target)))
    raw = bias_slope(outcome, once)[0]
    rest = bias_slope(replace(outcome, prediction=outcome.corrected), once)[0]
    assert raw < -0.15
    assert abs(rest) < 0.6 * abs(raw)
    assert abs(rest) > 1e-6


def test_corrected_ages_are_shown_only_when_asked(
    predicted: tuple[pd.DataFrame, tuple[TaskRecord, ...]],
) -> None:
    assert _shown(tabulate(*predicted, _PLAIN, 0)) == set()
    assert _shown(tabulate(*predicted, _ASKED, 0)) == {"age_years"}
    earlier = predicted[0].drop(columns="corrected"), predicted[1]
    assert _shown(tabulate(*earlier, _ASKED, 0)) == set()


def test_they_are_called_no_accuracy_and_the_mean_for_everybody_shows_why(
    predicted: tuple[pd.DataFrame, tuple[TaskRecord, ...]],
) -> None:
    tables = tabulate(*predicted, _ASKED, 0)
    of_age = tables.results[tables.results["task"] == "age_years"]
    corrected = of_age[of_age["metric"] == "corrected MAE"].set_index("model")
    assert set(corrected["note"]) == {NO_ACCURACY}
    assert corrected.loc[CONSTANT, "value"] == pytest.approx(0, abs=1e-9)
    rows = predicted[0][(predicted[0]["model"] == PRETRAINED) & predicted[0]["corrected"].notna()]
    by_hand = (rows["corrected"] - rows["target"]).abs().mean()
    assert corrected.loc[PRETRAINED, "value"] == pytest.approx(by_hand)
    assert set(tables.comparisons["metric"]) == {"MAE", "AUC"}
    table = task_tables(tables.results, tables.comparisons, predicted[1])[0]
    assert "corrected mean absolute error (years)" not in table.columns
    assert table.details is not None
    assert "no accuracy" in table.details.title
    assert table.details.columns == (
        "corrected mean absolute error (years)",
        "corrected bias slope",
    )
    assert not any(cell.best for row in table.details.rows for cell in row.cells)


def test_a_model_whose_corrected_ages_were_not_kept_has_none(
    predicted: tuple[pd.DataFrame, tuple[TaskRecord, ...]],
) -> None:
    lost = predicted[0].copy()
    lost.loc[lost["model"] == PRETRAINED, "corrected"] = np.nan
    results = tabulate(lost, predicted[1], _ASKED, 0).results
    of_lost = results[(results["model"] == PRETRAINED) & (results["metric"] == "corrected MAE")]
    assert of_lost["value"].isna().all()
    assert set(of_lost["note"]) == {"not defined"}
