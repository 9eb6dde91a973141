"""Embeddings: the frozen features of scans, and the table that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader
from neurofm.errors import TableError
from neurofm.models.comparable import require_alike, require_comparable
from neurofm.models.embedding_table import read_embedding_table, write_embedding_table
from neurofm.models.encoding import encode
from neurofm.preprocess.contract import Contract
from neurofm.progress import Progress
from neurofm.store.reader import Store

BATCH_VOXELS = 8_000_000  # scans in one pass: one at 1 mm, 39 at 3 mm
# Columns that say where a scan lies or how it is stored; they stay behind.
_NOT_LABELS = (
    "path", "mask_path", "bytes", "sha256", "problem", "image_path", "brain_mask_path",
    "tissue_path", "contract", "shard", "shard_row", "store_offset", "store_step",
)  # fmt: skip


def embed_store(
    encoder: nn.Module,
    store: Store,
    rows: Sequence[int],
    device: torch.device | str,
    progress: Progress,
) -> Float[np.ndarray, "scans features"]:
    """Features of some rows of a store, in their order, by a frozen encoder.

    Args:
        encoder: maps (batch, 1, depth, height, width) to (batch, features); used in evaluation
            mode, so its batch norm keeps the statistics of pre-training.
        store: an open store.
        rows: rows of the store.
        device: where to compute.
        progress: advanced by one for each scan.

    Returns:
        float32, one row a scan.
    """
    batches = row_batches(store, rows)
    progress.start("Encoding", len(rows), "scans")
    loaded = _counted(ScanLoader(store).batches(batches), progress)
    features = encode(encoder, loaded, device)
    progress.finish()
    return np.asarray(features)


def row_batches(store: Store, rows: Sequence[int], size: int | None = None) -> list[list[int]]:
    """Neighbouring rows of a store that are encoded at once: so many, or `scans_at_once`."""
    size = size or scans_at_once(store.shape)
    return [list(rows[start : start + size]) for start in range(0, len(rows), size)]


def scans_at_once(shape: Sequence[int]) -> int:
    """How many volumes of a shape are encoded at once where nobody says."""
    return max(1, BATCH_VOXELS // int(np.prod(shape)))


def write_embeddings(
    path: Path,
    frame: pd.DataFrame,
    embeddings: Float[np.ndarray, "scans features"],
    model: str,
    contract: str,
    *,
    preprocessing: Contract | None = None,
) -> None:
    """Write a table of embeddings: ids, labels and an embedding for each scan.

    A row of NaN becomes an empty embedding: a scan that could not be embedded.

    Args:
        path: the file, .parquet or .csv.
        frame: index rows of the scans; paths and checksums are not copied.
        embeddings: features, rows as in `frame`.
        model: SHA-256 of the weights.
        contract: fingerprint of the preprocessing contract.
        preprocessing: that contract; with its words in the file, `join_embeddings` can tell which
            step differs.
    """
    table = without_places(frame).assign(model=model, contract=contract)
    write_embedding_table(path, table, embeddings, preprocessing)


def without_places(frame: pd.DataFrame) -> pd.DataFrame:
    """Ids and labels of index rows, without where a scan lies and how it is stored."""
    return frame.drop(columns=[name for name in _NOT_LABELS if name in frame])


def read_embeddings(
    path: Path, contract: str | None = None
) -> tuple[pd.DataFrame, Float[np.ndarray, "scans features"]]:
    """Read a table of embeddings: its rows and, apart, the matrix of the usable ones.

    Args:
        path: the file, .parquet or .csv.
        contract: fingerprint of the preprocessing contract it must be of; None takes any one.

    Raises:
        TableError: not such a file, or no scan in it has an embedding.
        ContractError: its rows are of several contracts or models, or of another contract.
    """
    usable, _ = _usable(path, contract)
    return usable.drop(columns="embedding"), np.stack(usable["embedding"].to_list())


def join_embeddings(
    paths: Sequence[Path | str],
) -> tuple[pd.DataFrame, Float[np.ndarray, "scans features"]]:
    """Read one or several tables of embeddings that may stand side by side as one.

    Args:
        paths: files of neurofm embed, .parquet or .csv.

    Returns:
        rows of the usable scans, and their matrix.

    Raises:
        TableError: no file, no embedding in one, or a scan stands in two.
        ContractError: they are of several models, or of scans preprocessed in different ways; says
            which step differs.
    """
    if not paths:
        raise TableError("no table of embeddings was given")
    first, *others = [(Path(path), *_usable(Path(path), None)) for path in paths]
    for path, rows, contract in others:
        require_alike((path, rows, contract), first)
    joined = pd.concat([first[1], *(rows for _, rows, _ in others)], ignore_index=True)
    repeated = joined.loc[joined["scan_id"].duplicated(), "scan_id"]
    if len(repeated):
        raise TableError(f"the scan '{repeated.iloc[0]}' stands in the tables twice", "drop one")
    return joined.drop(columns="embedding"), np.stack(joined["embedding"].to_list())


def _usable(path: Path, contract: str | None) -> tuple[pd.DataFrame, Contract | None]:
    table, words = read_embedding_table(path)
    usable = table[table["embedding"].notna()] if "embedding" in table else table.iloc[:0]
    if usable.empty:
        raise TableError("holds no embedding", "see its column 'reason'", path)
    require_comparable(usable, contract, path)
    return usable, words


def _counted(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        progress.advance(len(batch))
