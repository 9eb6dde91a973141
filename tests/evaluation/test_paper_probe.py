"""The paper's probe on cached features takes the steps of a frozen encoder's run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from neurofm.config.learning import EvaluationConfig, TrainingConfig
from neurofm.data.targets import Target
from neurofm.evaluation.baselines import AS_TRAINED, NEAREST, OF_PAPER, PRETRAINED
from neurofm.evaluation.contenders import AsTrained
from neurofm.evaluation.given import Given
from neurofm.evaluation.metrics import METRICS
from neurofm.evaluation.paper_probe import paper_probe
from neurofm.evaluation.parts import PartedTask, divide
from neurofm.evaluation.protocol import evaluate
from neurofm.models.embeddings import embed_store
from neurofm.models.weights import load_encoder
from neurofm.progress import SilentProgress

_PLAIN: dict[str, Any] = {
    "min_crop_mm": [150, 192, 192],
    "flip_probability": 0,
    "rotation_probability": 0,
    "intensity_shift_probability": 0,
    "gamma_probability": 0,
}
_TRAINING = {"epochs": 12, "batch_size": 4, "learning_rate": 0.02}


def _frozen_run(kit: Any, start: Path, target: str, seed: int) -> Path:
    return kit.supervised(  # type: ignore[no-any-return]
        "frozen", target, start=start, seed=seed, views=_PLAIN, training=_TRAINING,
        tuning={"trained": "head"},
        objective={"class_weights": "none", "standardise_target": False},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "seed"),
    [pytest.param("sex", 0, marks=pytest.mark.slow), ("age_years", 1), ("third", 3)],
)
def test_it_equals_the_frozen_encoders_run_of_all_epochs(
    kit: Any, tmp_path: Path, target: str, seed: int
) -> None:
    number = kit.store.index["participant_id"].str[1:].astype(int)
    kit.store.index["third"] = ["abc"[each % 3] for each in number]
    start, recipe = kit.simclr("pre"), kit.recipe()
    evaluate(recipe, kit.store, _frozen_run(kit, start, target, seed), tmp_path / "e")
    saved = pd.read_parquet(tmp_path / "e" / "predictions.parquet")
    slow = saved[saved["model"] == AS_TRAINED]
    rows = range(len(kit.store.index))
    read = embed_store(load_encoder(start), kit.store, rows, "cpu", SilentProgress())
    task = divide(kit.store.index, target, recipe.split)
    quick = paper_probe(read, kit.store.index, task, seed, TrainingConfig(**_TRAINING))
    if quick.probabilities.shape[1]:
        expected = np.stack(slow["probabilities"].to_list())
        assert quick.probabilities == pytest.approx(expected, abs=1e-6)
    assert quick.prediction == pytest.approx(slow["prediction"].to_numpy(), abs=1e-4)
    results = pd.read_parquet(tmp_path / "e" / "results.parquet")
    of_slow = results[results["model"] == AS_TRAINED].set_index("metric")["value"]
    people = task.target_of("test").participants
    weights = 1.0 / np.bincount(people)[people][None, :]
    metric = METRICS[task.target.kind][0]
    assert metric.compute(quick, weights)[0] == pytest.approx(of_slow[metric.name], abs=1e-6)
    if quick.thresholds is not None:
        assert slow["threshold"].to_numpy() == pytest.approx(
            quick.thresholds, abs=1e-6, nan_ok=True
        )


def test_an_evaluation_has_a_row_of_it_and_of_the_neighbours(kit: Any, tmp_path: Path) -> None:
    recipe = kit.recipe(evaluation={"parts": "task", "targets": ["sex"], "probe": "both"})
    evaluate(recipe, kit.store, [Given(kit.simclr("pre"))], tmp_path / "e")
    found = pd.read_parquet(tmp_path / "e" / "predictions.parquet")
    repeats = found[found["task"] == "sex"].groupby("model")["seed"].nunique()
    assert repeats[PRETRAINED] == 1
    assert repeats[f"{PRETRAINED}, {OF_PAPER}"] == recipe.evaluation.seeds == 2
    assert repeats[f"{PRETRAINED}, {NEAREST}"] == 1


def test_alone_it_takes_the_usual_row(kit: Any, tmp_path: Path) -> None:
    recipe = kit.recipe(
        evaluation={"parts": "task", "targets": ["sex"], "probe": "paper", "neighbours": False}
    )
    evaluate(recipe, kit.store, [Given(kit.simclr("pre"))], tmp_path / "e")
    found = pd.read_parquet(tmp_path / "e" / "predictions.parquet")
    repeats = found[found["task"] == "sex"].groupby("model")["seed"].nunique()
    assert repeats[PRETRAINED] == 2
    assert not {model for model in repeats.index if OF_PAPER in model or NEAREST in model}


def test_it_needs_a_validation_part() -> None:
    with pytest.raises(ValidationError, match="add parts=task"):
        EvaluationConfig(probe="both")


def test_a_validation_part_of_one_class_chooses_by_the_loss_and_has_no_threshold() -> None:
    """Case 83."""
    stream, count = np.random.default_rng(0), 30
    values = np.arange(count) % 2 * 1.0
    roles = np.array(["train"] * 14 + ["validation"] * 6 + ["test"] * 10, dtype=object)
    values[14:20] = 0.0
    keys = tuple(f"c/p{i:02d}" for i in range(count))
    target = Target(
        "sex", "binary", np.arange(count), values, ("F", "M"), np.arange(count), keys, ()
    )
    frame = pd.DataFrame(
        {"scan_id": keys, "cohort": "c", "participant_id": [key[2:] for key in keys]}
    )
    features = stream.normal(size=(count, 3)) + values[:, None]
    outcome = paper_probe(features, frame, PartedTask(target, roles), 0,
                          TrainingConfig(epochs=3, batch_size=6))  # fmt: skip
    assert outcome.thresholds is not None
    assert np.isnan(outcome.thresholds).all()
    network = AsTrained("n", (outcome.probabilities[[0] * count],), (True,), (1.0,))
    thresholds = network.outcome(PartedTask(target, roles), 0).thresholds
    assert thresholds is not None
    assert np.isnan(thresholds).all()
