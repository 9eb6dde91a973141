from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from neurofm.cohorts.index import participant_keys, read_index, write_index
from neurofm.config.preparation import StoreConfig
from neurofm.config.recipe import Recipe, check_recipe
from neurofm.errors import ContractError, LeakageError, RunError
from neurofm.evaluation.protocol import evaluate
from neurofm.models.card import Card
from neurofm.models.embeddings import embed_store, read_embeddings
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import hash_participants, load_encoder, save_weights
from neurofm.progress import SilentProgress
from neurofm.store.packing import pack
from neurofm.store.reader import Store, open_store

RECIPE = check_recipe(
    {
        "name": "tiny",
        "encoder": {"widths": [4, 8, 8, 16]},
        "evaluation": {"folds": 2, "seeds": 2, "bootstrap_samples": 100},
    },
    where="a test",
)


@pytest.fixture
def store(fake: SimpleNamespace, tmp_path: Path) -> Store:
    return make_store(fake, tmp_path, held_out=0)


def make_store(fake: SimpleNamespace, folder: Path, held_out: int) -> Store:
    derivatives = fake.write(folder / "derivatives", 16)
    index = read_index(derivatives / "index.parquet")
    index.loc[index.index[16 - held_out :], "split"] = "held-out"
    write_index(index.assign(gm_ml=600.0 - index["age_years"]), derivatives / "index.parquet")
    pack(derivatives, folder / "store", StoreConfig(spacing_mm=6.0))
    return open_store(folder / "store")


def make_weights(folder: Path, store: Store, seen: tuple[str, ...] = ("fake/nobody",)) -> Path:
    encoder = build_encoder(RECIPE.encoder, seed=1)
    card = Card(
        encoder=RECIPE.encoder,
        features=16,
        spacing_mm=store.spacing_mm,
        contract=store.contract.model_dump(mode="json"),
        contract_fingerprint=store.contract.fingerprint(),
        participant_salt="salt",
        participant_hashes=tuple(hash_participants(seen, "salt")),
    )
    state = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    save_weights(folder, state, card)
    return folder


def test_an_evaluation_leaves_every_table_and_a_second_call_changes_none(
    store: Store, tmp_path: Path
) -> None:
    """F7: what a killed process left is swept."""
    weights, folder = make_weights(tmp_path / "weights", store), tmp_path / "evaluation"
    folder.mkdir()
    (folder / ".unfinished-old.parquet").write_bytes(b"half")
    record = evaluate(RECIPE, store, weights, folder)
    assert {path.name for path in folder.iterdir()} == {
        ".lock", "embeddings.parquet", "predictions.parquet", "results.parquet",
        "comparisons.parquet", "calibration.parquet", "scans.parquet", "subgroups.parquet",
        "left_out_sites.parquet",
        "evaluation.json",
    }  # fmt: skip
    assert (record.rows, record.participants, record.scans) == ("all", 8, 16)
    assert [task.task for task in record.tasks] == ["age_years", "sex"]
    results = pd.read_parquet(folder / "results.parquet")
    assert set(results["model"]) == {
        "pre-trained encoder", "pre-trained encoder, nearest neighbours",
        "random-weight encoder", "brain volumes", "sex only", "age only", "mean or majority",
    }  # fmt: skip
    predictions = pd.read_parquet(folder / "predictions.parquet")
    assert predictions[["participant", "seed", "fraction"]].notna().all(axis=None)
    assert set(predictions["fraction"]) == {1.0}
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert evaluate(RECIPE, store, weights, folder) == record
    assert before == {path.name: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}


def test_two_runs_of_an_evaluation_give_the_same_numbers(store: Store, tmp_path: Path) -> None:
    weights = make_weights(tmp_path / "weights", store)
    for name in ("one", "two"):
        evaluate(RECIPE, store, weights, tmp_path / name)
    one, two = (pd.read_parquet(tmp_path / name / "results.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)


def test_a_folder_with_another_evaluation_is_refused(store: Store, tmp_path: Path) -> None:
    weights = make_weights(tmp_path / "weights", store)
    evaluate(RECIPE, store, weights, tmp_path / "evaluation")
    other = Recipe.model_validate(RECIPE.model_dump() | {"seed": 9})
    with pytest.raises(RunError, match="choose another -o"):
        evaluate(other, store, weights, tmp_path / "evaluation")


def test_only_held_out_scans_are_evaluated_where_there_are_any(
    fake: SimpleNamespace, tmp_path: Path
) -> None:
    store = make_store(fake, tmp_path, held_out=10)
    weights = make_weights(tmp_path / "weights", store, seen=("fake/p00", "fake/p01"))
    record = evaluate(RECIPE, store, weights, tmp_path / "evaluation")
    assert (record.rows, record.participants, record.pretrain_overlap) == ("held-out", 5, 0)
    embedded, _ = read_embeddings(tmp_path / "evaluation" / "embeddings.parquet")
    assert set(embedded["participant_id"]) == {"p03", "p04", "p05", "p06", "p07"}


def test_participants_seen_in_pre_training_are_refused_unless_it_is_recorded(
    store: Store, tmp_path: Path
) -> None:
    """Case 91."""
    seen = tuple(participant_keys(store.index).unique()[:3])
    weights = make_weights(tmp_path / "weights", store, seen)
    with pytest.raises(LeakageError, match="3 participants"):
        evaluate(RECIPE, store, weights, tmp_path / "evaluation")
    assert not (tmp_path / "evaluation").exists()
    record = evaluate(RECIPE, store, weights, tmp_path / "evaluation", allow_overlap=True)
    assert record.pretrain_overlap == 3
    assert any("3 of 8 evaluated participants were seen" in text for text in record.warnings)


def test_scans_of_another_contract_or_grid_are_refused(
    store: Store, fake: SimpleNamespace, tmp_path: Path
) -> None:
    other = SimpleNamespace(spacing_mm=6.0, contract=fake.contract("another template"))
    with pytest.raises(ContractError, match="preprocessed differently"):
        evaluate(RECIPE, store, make_weights(tmp_path / "a", other), tmp_path / "evaluation")  # type: ignore[arg-type]
    finer = SimpleNamespace(spacing_mm=3.0, contract=store.contract)
    with pytest.raises(ContractError, match="the store is at 6 mm"):
        evaluate(RECIPE, store, make_weights(tmp_path / "b", finer), tmp_path / "evaluation")  # type: ignore[arg-type]


def test_the_frozen_encoder_stays_frozen(store: Store, tmp_path: Path) -> None:
    """In training mode batch norm would follow the scans and mix the scans of a batch."""
    encoder = load_encoder(make_weights(tmp_path / "weights", store))
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    rows = list(range(len(store)))
    together = embed_store(encoder, store, rows, "cpu", SilentProgress())
    alone = np.concatenate(
        [embed_store(encoder, store, [row], "cpu", SilentProgress()) for row in rows]
    )
    assert together == pytest.approx(alone, abs=1e-5)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
