from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.errors import TableError
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
