from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.errors import ContractError, TableError
from neurofm.models.embeddings import read_embeddings, write_embeddings


def test_an_embedding_table_comes_back_without_scans_that_have_none(tmp_path: Path) -> None:
    frame = pd.DataFrame({"scan_id": ["a", "b"], "path": ["/x", "/y"], "sex": ["F", None]})
    features = np.array([[1.0, 2.0], [np.nan, np.nan]])
    write_embeddings(tmp_path / "e.parquet", frame, features, "model", "contract")
    labels, embeddings = read_embeddings(tmp_path / "e.parquet")
    assert labels["scan_id"].tolist() == ["a"]
    assert "path" not in labels
    assert embeddings.tolist() == [[1.0, 2.0]]
    assert embeddings.dtype == np.float32


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
