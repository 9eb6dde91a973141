"""The file of a table of embeddings, Parquet or CSV, with the words of its contract."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from neurofm.config.recipe import check_section
from neurofm.errors import ConfigError, TableError
from neurofm.files import atomic_path, read_json, write_json
from neurofm.preprocess.contract import Contract

CSV = ".csv"
TABLE_FORMS = (".parquet", CSV)
_CONTRACT = b"neurofm.contract"
_TEXTS = (
    "scan_id", "cohort", "participant_id", "session_id", "sex", "diagnosis", "site", "split",
    "verdict", "contract", "model", "reason",
)  # fmt: skip


def contract_beside(path: Path) -> Path:
    """Where the contract of a CSV is: "e.contract.json" beside "e.csv"."""
    return path.with_suffix(".contract.json")


def feature_names(count: int) -> list[str]:
    """The columns of a CSV that hold an embedding: e0000, e0001, ..."""
    return [f"e{number:04d}" for number in range(count)]


def embedding_rows(
    embeddings: Float[np.ndarray, "scans features"],
) -> list[Float[np.ndarray, " features"] | None]:
    """The embedding of each scan; None for a row that holds NaN, or nothing."""
    return [row if len(row) and np.isfinite(row).all() else None for row in embeddings]


def write_embedding_table(
    path: Path,
    frame: pd.DataFrame,
    embeddings: Float[np.ndarray, "scans features"],
    preprocessing: Contract | None,
) -> None:
    """Write rows and their embeddings; a row of NaN becomes an empty embedding.

    Args:
        path: .parquet with a column `embedding`, or .csv with columns e0000, e0001, ...
        frame: all other columns.
        embeddings: rows as in `frame`.
        preprocessing: of the scans; kept in the Parquet's metadata, or as JSON beside the CSV.
    """
    exact = embeddings.astype(np.float32)
    if path.suffix == CSV:
        numbers = pd.DataFrame(exact, columns=feature_names(exact.shape[1]))
        _write_csv(path, pd.concat([frame.reset_index(drop=True), numbers], axis=1), preprocessing)
        return
    rows = embedding_rows(exact)
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    arrow = arrow.append_column("embedding", pa.array(rows, pa.list_(pa.float32())))
    if preprocessing is not None:
        words = json.dumps(preprocessing.model_dump(mode="json"), sort_keys=True).encode()
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _CONTRACT: words})
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary)


def read_embedding_table(path: Path) -> tuple[pd.DataFrame, Contract | None]:
    """Read such a file, with a column `embedding` in either form.

    Returns:
        the rows, None as the embedding of those that have none; and the contract, None where it
        was not kept.

    Raises:
        TableError: it cannot be read.
    """
    try:
        if path.suffix == CSV:
            return _from_csv(path), _kept_contract(path)
        arrow = pq.read_table(path)
        words = (arrow.schema.metadata or {}).get(_CONTRACT)
        known = None if words is None else check_section(Contract, json.loads(words), path)
        return arrow.to_pandas(), known
    except (OSError, ValueError, ConfigError) as error:
        raise TableError(f"cannot be read ({error})", "embed again", path) from None


def _write_csv(path: Path, table: pd.DataFrame, preprocessing: Contract | None) -> None:
    """Write a CSV and its contract beside it, or neither of them."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
    if preprocessing is None:
        return
    try:
        write_json(contract_beside(path), preprocessing.model_dump(mode="json"))
    except BaseException:
        path.unlink()
        raise


def _from_csv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(
        path, dtype=dict.fromkeys(_TEXTS, "str"), keep_default_na=False, na_values=[""]
    )
    names = table.columns[table.columns.str.fullmatch(r"e\d{4,}")]
    numbers = table[names].to_numpy(dtype=np.float32)
    rows = pd.Series(embedding_rows(numbers), table.index, dtype=object)
    return table.drop(columns=names).assign(embedding=rows)


def _kept_contract(path: Path) -> Contract | None:
    beside = contract_beside(path)
    return check_section(Contract, read_json(beside), beside) if beside.is_file() else None
