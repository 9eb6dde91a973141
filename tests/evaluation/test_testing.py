"""Several models on one test part: rows, numbers, comparisons, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.cohorts.task_roles import TEST
from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader
from neurofm.data.prepare import zscore_in_mask
from neurofm.errors import ConfigError, LeakageError, RunError
from neurofm.evaluation.baselines import AS_TRAINED, NEAREST, PRETRAINED, PROBED, RANDOM
from neurofm.evaluation.given import Given
from neurofm.evaluation.parts import divide
from neurofm.evaluation.protocol import evaluate
from neurofm.models.head import predictions
from neurofm.models.weights import load_encoder, load_head, load_weights
from neurofm.reports.page import read_evaluation, tables_of, write_report

_BASELINES = {"age only", "site only", "mean or majority"}


def _probes(model: str) -> tuple[str, str]:
    return f"{model}, {PROBED}", f"{model}, {PROBED}, {NEAREST}"


def _predictions(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "predictions.parquet")


def _said_by_hand(store: Any, run: Path, rows: list[int]) -> torch.Tensor:
    """Encoder, then head, scan by scan."""
    encoder, head, card = load_encoder(run), load_head(run), load_weights(run).card
    assert card.head is not None
    batches: list[Batch] = list(ScanLoader(store).batches([[row] for row in rows]))
    with torch.inference_mode():
        outputs = [head(encoder(zscore_in_mask(each.images, each.masks))) for each in batches]
    return predictions(torch.cat(outputs), card.head)


@pytest.mark.parametrize("target", ["sex", "age_years"])
def test_a_head_is_scored_on_the_test_part_beside_probes_and_baselines(
    kit: Any, tmp_path: Path, target: str
) -> None:
    run, recipe = kit.supervised("run", target), kit.recipe()
    record = evaluate(recipe, kit.store, run, tmp_path / "e")
    test = divide(kit.store.index, target, recipe.split).target_of(TEST)
    assert (record.rows, record.pretrain_overlap) == ("test", 0)
    assert [task.task for task in record.tasks] == [target]
    assert record.participants == record.tasks[0].participants == test.num_participants
    found = _predictions(tmp_path / "e")
    images = {AS_TRAINED, PROBED, RANDOM}
    assert images < set(found["model"])
    scans = list(kit.store.index["scan_id"].iloc[test.rows])
    assert all(list(rows["scan_id"]) == scans for _, rows in found.groupby(["model", "seed"]))
    own = found[found["model"] == AS_TRAINED]
    said = _said_by_hand(kit.store, run, [int(row) for row in test.rows]).numpy()
    if target == "sex":
        assert np.stack(own["probabilities"].to_list()) == pytest.approx(said, abs=1e-4)
        assert list(own["prediction"]) == list(said.argmax(axis=1))
    else:
        assert list(own["prediction"]) == pytest.approx(list(said[:, 0]), abs=1e-3)
        assert own["prediction"].between(5, 80).all()
    compared = pd.read_parquet(tmp_path / "e" / "comparisons.parquet")
    assert set(compared["model"]) == {AS_TRAINED}
    assert set(compared["against"]) == set(found["model"]) - {AS_TRAINED}
    assert set(found["fraction"]) == {1.0}


def test_predictions_say_how_much_of_the_training_part_was_learnt_from(
    kit: Any, tmp_path: Path
) -> None:
    """A network from half of it, probed with all of it."""
    run = kit.supervised("run", "sex", split={"task_train_fraction": 0.5})
    evaluate(kit.recipe(), kit.store, run, tmp_path / "e")
    fractions = _predictions(tmp_path / "e").groupby("model")["fraction"].unique()
    assert list(fractions[AS_TRAINED]) == [0.5]
    assert list(fractions[PROBED]) == [1.0]


def test_a_pre_trained_encoder_is_probed_on_the_same_test_part(kit: Any, tmp_path: Path) -> None:
    run = kit.simclr("pre")
    recipe = kit.recipe(evaluation={"parts": "task"})
    record = evaluate(recipe, kit.store, run, tmp_path / "e")
    assert [task.task for task in record.tasks] == ["age_years", "sex", "site"]
    found = _predictions(tmp_path / "e")
    assert PRETRAINED in set(found["model"])
    test = divide(kit.store.index, "sex", recipe.split).target_of(TEST)
    scans = set(kit.store.index["scan_id"].iloc[test.rows])
    assert set(found.loc[found["task"] == "sex", "scan_id"]) == scans
    embedded = pd.read_parquet(tmp_path / "e" / "embeddings.parquet")
    assert set(embedded["scan_id"]) == set(found["scan_id"])


def test_six_rows_of_two_architectures_and_repeats_stand_in_one_table(
    kit: Any, tmp_path: Path
) -> None:
    pre = kit.simclr("pre")
    given = [
        Given(kit.supervised("r0", "sex"), "ResNet supervised"),
        Given(kit.supervised("r1", "sex", seed=1), "ResNet supervised"),
        Given(kit.supervised("v", "sex", vit=True), "ViT supervised"),
        Given(pre, "SimCLR probe"),
        Given(kit.supervised("f", "sex", start=pre), "SimCLR fine-tuned"),
    ]
    folder = tmp_path / "e"
    record = evaluate(kit.recipe(), kit.store, given, folder)
    assert record.models == (
        "ResNet supervised", "ViT supervised", "SimCLR probe", "SimCLR fine-tuned",
    )  # fmt: skip
    results = pd.read_parquet(folder / "results.parquet").drop_duplicates("model")
    assert set(results["model"]) - _BASELINES == {
        "ResNet supervised", *_probes("ResNet supervised"),
        "ViT supervised", *_probes("ViT supervised"),
        "SimCLR probe", f"SimCLR probe, {NEAREST}",
        "SimCLR fine-tuned", *_probes("SimCLR fine-tuned"),
        f"{RANDOM}, as of ResNet supervised", f"{RANDOM}, as of ViT supervised",
    }  # fmt: skip
    repeats = dict(zip(results["model"], results["seeds"], strict=True))
    assert (repeats["ResNet supervised"], repeats["ViT supervised"]) == (2, 1)
    compared = pd.read_parquet(folder / "comparisons.parquet")
    assert set(compared["model"]) == {"ResNet supervised"}
    assert compared["p_holm"].notna().all()
    (table,) = tables_of(read_evaluation(folder))
    assert table.columns[-1] == "ResNet supervised is better by"
    page = write_report(folder, None, folder / "report.html").read_text()
    for name in (
        *record.models,
        "nothing here has learnt from",
        "test participants",
        "with a head for sex",
        "vit, 24 features",
    ):
        assert name in page, name
    assert "fake_p" not in page
    assert str(tmp_path) not in page
    before = (folder / "results.parquet").stat().st_mtime_ns
    assert evaluate(kit.recipe(), kit.store, given, folder) == record
    assert (folder / "results.parquet").stat().st_mtime_ns == before
    with pytest.raises(RunError, match="choose another -o"):
        evaluate(kit.recipe(), kit.store, given[:-1], folder)


def test_a_network_stands_in_the_table_of_its_own_task_only(kit: Any, tmp_path: Path) -> None:
    """It may have learnt from people who are in the test part of another task."""
    given = [
        Given(kit.simclr("pre"), "SimCLR"),
        Given(kit.supervised("s", "sex"), "ResNet"),
        Given(kit.supervised("a", "age_years"), "ResNet"),
    ]
    record = evaluate(kit.recipe(), kit.store, given, tmp_path / "e")
    assert [task.task for task in record.tasks] == ["sex", "age_years"]
    found = _predictions(tmp_path / "e")
    counts = found[found["model"] == "ResNet"].groupby("task")["seed"].nunique()
    assert dict(counts) == {"sex": 1, "age_years": 1}
    assert (found[found["model"] == "SimCLR"].groupby("task")["seed"].nunique() == 1).all()


def test_encoders_of_one_name_are_repeats_in_folds_as_well(kit: Any, tmp_path: Path) -> None:
    given = [Given(kit.simclr(f"p{k}", seed=k), "SimCLR") for k in range(3)]
    evaluate(kit.recipe(), kit.store, given, tmp_path / "e")
    found = _predictions(tmp_path / "e")
    counts = found[found["task"] == "sex"].groupby("model")["seed"].nunique()
    assert counts["SimCLR"] == 3
    assert counts["mean or majority"] == 2


def test_a_test_part_that_weights_have_seen_is_refused_by_the_name_of_the_model(
    kit: Any, tmp_path: Path
) -> None:
    clean = kit.supervised("clean", "sex")
    kit.store.index["split"] = "pretrain"
    everyone = kit.simclr("everyone")
    number = kit.store.index["participant_id"].str[1:].astype(int)
    kit.store.index["split"] = ["pretrain" if each < 4 else "held-out" for each in number]
    given = [Given(clean), Given(everyone)]
    with pytest.raises(LeakageError, match=r"^everyone \(.*participants to be evaluated"):
        evaluate(kit.recipe(), kit.store, given, tmp_path / "e")
    record = evaluate(kit.recipe(), kit.store, given, tmp_path / "e", allow_overlap=True)
    assert [each.overlap for each in record.weights] == [0, record.participants]
    assert any(text.startswith("everyone: ") for text in record.warnings)
    page = write_report(tmp_path / "e", None, tmp_path / "page.html").read_text()
    assert "nothing here has learnt from" not in page


def test_other_parts_than_those_of_training_are_refused(kit: Any, tmp_path: Path) -> None:
    run = kit.supervised("run", "sex")
    with pytest.raises(ConfigError, match=r"task_seed: is 5 here, and was 0 .*task_seed=0"):
        evaluate(kit.recipe(split={"task_seed": 5}), kit.store, run, tmp_path / "e")


def test_labels_that_a_head_does_not_know_are_refused(kit: Any, tmp_path: Path) -> None:
    run = kit.supervised("run", "sex")
    kit.store.index["sex"] = kit.store.index["sex"].map({"F": "female", "M": "male"})
    with pytest.raises(RunError, match="predicts F, M; the store's 'sex' is female, male"):
        evaluate(kit.recipe(), kit.store, run, tmp_path / "e")


def test_without_a_label_in_any_test_part_nothing_is_encoded(kit: Any, tmp_path: Path) -> None:
    kit.store.index["nobody"] = None
    kit.store.index["site"] = None
    recipe = kit.recipe(evaluation={"parts": "task", "targets": ["nobody"]})
    with pytest.raises(RunError, match="nothing to evaluate .nobody: not evaluated"):
        evaluate(recipe, kit.store, kit.simclr("pre"), tmp_path / "e")
    assert not (tmp_path / "e").exists()
