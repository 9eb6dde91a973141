from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from neurofm.config import PreprocessConfig
from neurofm.errors import ContractError, RunError, TableError
from neurofm.models.embeddings import join_embeddings, read_embeddings, write_embeddings
from neurofm.preprocess.contract import contract_of

FORMS = pytest.mark.parametrize("form", [".parquet", ".csv"])


def _write(path: Path, ids: str, model: str = "model", **settings: Any) -> Path:
    contract = contract_of(PreprocessConfig(**settings))
    write_embeddings(
        path, pd.DataFrame({"scan_id": list(ids)}), np.full((len(ids), 3), 0.1), model,
        contract.fingerprint(), preprocessing=contract,
    )  # fmt: skip
    return path


@FORMS
def test_an_embedding_table_comes_back_without_scans_that_have_none(
    tmp_path: Path, form: str
) -> None:
    frame = pd.DataFrame(
        {"scan_id": ["a", "b"], "path": ["/x", "/y"], "sex": ["F", None],
         "participant_id": ["007", "NA"]}
    )  # fmt: skip
    features = np.array([[1 / 3, 2.0], [np.nan, np.nan]])
    path = tmp_path / f"e{form}"
    write_embeddings(path, frame, features, "model", "contract")
    labels, embeddings = read_embeddings(path)
    assert labels["scan_id"].tolist() == ["a"]
    assert labels["participant_id"].tolist() == ["007"]
    assert "path" not in labels
    assert embeddings.tolist() == [[np.float32(1 / 3), 2.0]]
    assert embeddings.dtype == np.float32


def test_a_csv_has_a_column_for_each_number(tmp_path: Path) -> None:
    _write(tmp_path / "e.csv", "ab")
    table = pd.read_csv(tmp_path / "e.csv")
    assert table.columns.tolist() == ["scan_id", "model", "contract", "e0000", "e0001", "e0002"]
    assert table["e0002"].tolist() == [0.1, 0.1]


def test_a_csv_does_not_stand_without_its_contract(tmp_path: Path) -> None:
    """F1: there is room for the table, but not for the contract beside it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RunError, match=r"e.contract.json: cannot be written \(File too large"):
            _write(tmp_path / "e.csv", "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    _write(tmp_path / "e.csv", "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.contract.json", "e.csv"]


@FORMS
def test_tables_of_one_contract_and_model_are_joined(tmp_path: Path, form: str) -> None:
    one, two = _write(tmp_path / f"one{form}", "ab"), _write(tmp_path / f"two{form}", "c")
    rows, features = join_embeddings([one, str(two)])
    assert rows["scan_id"].tolist() == ["a", "b", "c"]
    assert features.shape == (3, 3)
    assert join_embeddings([one])[0]["scan_id"].tolist() == ["a", "b"]


@FORMS
def test_tables_of_two_contracts_are_not_joined_and_the_step_is_named(
    tmp_path: Path, form: str
) -> None:
    one = _write(tmp_path / f"one{form}", "a")
    two = _write(tmp_path / f"two{form}", "b", bias_field_shrink=2)
    with pytest.raises(ContractError, match=rf"two{form}: .*one{form}: step 'bias-field'.*shrink"):
        join_embeddings([one, two])


def test_tables_that_do_not_keep_their_contract_are_refused_by_its_fingerprint(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"scan_id": ["a"]})
    paths = [tmp_path / f"{name}.parquet" for name in ("c1", "c2")]
    for path in paths:
        write_embeddings(path, frame, np.ones((1, 2)), "model", path.stem)
    with pytest.raises(ContractError, match="contract c2, not c1"):
        join_embeddings(paths)


def test_tables_of_two_models_or_with_the_same_scan_are_not_joined(tmp_path: Path) -> None:
    one, two = _write(tmp_path / "1.csv", "a"), _write(tmp_path / "2.csv", "b", "another")
    with pytest.raises(ContractError, match="of the model another, those of .*1.csv of model"):
        join_embeddings([one, two])
    with pytest.raises(TableError, match="the scan 'a' stands in the tables twice"):
        join_embeddings([one, one])
    with pytest.raises(TableError, match="no table"):
        join_embeddings([])


def test_a_table_without_any_embedding_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"scan_id": ["a"]})
    write_embeddings(tmp_path / "e.parquet", frame, np.full((1, 2), np.nan), "model", "contract")
    with pytest.raises(TableError, match="holds no embedding"):
        read_embeddings(tmp_path / "e.parquet")


def test_embeddings_of_several_contracts_or_models_are_not_read_as_one(tmp_path: Path) -> None:
    frame, features = pd.DataFrame({"scan_id": ["a", "b"]}), np.eye(2)
    path = tmp_path / "e.parquet"
    write_embeddings(path, frame, features, "model", "contract")
    read_embeddings(path, "contract")
    with pytest.raises(ContractError, match="by contract contract, not another"):
        read_embeddings(path, "another")
    joined = pd.read_parquet(path)
    joined.assign(contract=["one", "two"]).to_parquet(path)
    with pytest.raises(ContractError, match=r"of 2 contracts \(one, two\)"):
        read_embeddings(path)
    joined.assign(model=["one", "two"]).to_parquet(path)
    with pytest.raises(ContractError, match=r"of 2 models \(one, two\)"):
        read_embeddings(path)
