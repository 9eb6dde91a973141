"""Embeddings: the frozen features of scans, and the table that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import nn

from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader
from neurofm.errors import TableError
from neurofm.files import atomic_path
from neurofm.models.comparable import require_comparable
from neurofm.models.encoding import encode
from neurofm.progress import Progress
from neurofm.store.reader import Store

_BATCH_VOXELS = 8_000_000  # scans in one pass: one at 1 mm, 39 at 3 mm
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
    size = max(1, _BATCH_VOXELS // int(np.prod(store.shape)))
    batches = [list(rows[start : start + size]) for start in range(0, len(rows), size)]
    progress.start("Encoding", len(rows), "scans")
    loaded = _counted(ScanLoader(store).batches(batches), progress)
    features = encode(encoder, loaded, device)
    progress.finish()
    return np.asarray(features)


def write_embeddings(
    path: Path,
    frame: pd.DataFrame,
    embeddings: Float[np.ndarray, "scans features"],
    model: str,
    contract: str,
) -> None:
    """Write `embeddings.parquet`: ids, labels and an embedding for each scan.

    A row of NaN becomes an empty embedding: a scan that could not be embedded.

    Args:
        path: the file.
        frame: index rows of the scans; paths and checksums are not copied.
        embeddings: features, rows as in `frame`.
        model: SHA-256 of the weights.
        contract: fingerprint of the preprocessing contract.
    """
    usable = np.isfinite(embeddings).all(axis=1)
    rows = [
        row if good else None
        for row, good in zip(embeddings.astype(np.float32), usable, strict=True)
    ]
    table = without_places(frame).assign(model=model, contract=contract)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.append_column("embedding", pa.array(rows, pa.list_(pa.float32())))
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary)


def without_places(frame: pd.DataFrame) -> pd.DataFrame:
    """Ids and labels of index rows, without where a scan lies and how it is stored."""
    return frame.drop(columns=[name for name in _NOT_LABELS if name in frame])


def read_embeddings(
    path: Path, contract: str | None = None
) -> tuple[pd.DataFrame, Float[np.ndarray, "scans features"]]:
    """Read `embeddings.parquet`: its rows and, apart, the matrix of the usable ones.

    Args:
        path: the file.
        contract: fingerprint of the preprocessing contract it must be of; None takes any one.

    Raises:
        TableError: not such a file, or no scan in it has an embedding.
        ContractError: its rows are of several contracts or models, or of another contract.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise TableError(f"cannot be read ({error})", "embed again", path) from None
    usable = table[table["embedding"].notna()] if "embedding" in table else table.iloc[:0]
    if usable.empty:
        raise TableError("holds no embedding", "see its column 'reason'", path)
    require_comparable(usable, contract, path)
    return usable.drop(columns="embedding"), np.stack(usable["embedding"].to_list())


def _counted(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        progress.advance(len(batch))
