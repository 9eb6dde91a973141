"""From TurboPrep's results to embeddings: packed for the moment, then encoded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from neurofm.config.preparation import StoreConfig
from neurofm.inference.computing import Computing, choose_computing
from neurofm.inference.distances import with_distances
from neurofm.inference.embed import (
    KEPT_EMBEDDINGS,
    Embedded,
    packed_rows,
    require_fitting,
    require_new_embeddings,
)
from neurofm.inference.features import KeptFeatures, encode_packed
from neurofm.models.embeddings import write_embeddings
from neurofm.models.weights import encoder_of, load_weights
from neurofm.preprocess.turboprep import TurboPrepList, turboprep_contract
from neurofm.progress import Progress, SilentProgress
from neurofm.store.packing import pack_selection
from neurofm.store.reader import open_store
from neurofm.store.turboprep import select_turboprep


def embed_turboprep(
    listed: TurboPrepList,
    weights: Path,
    output: Path,
    *,
    work: Path | None = None,
    workers: int = 1,
    allow_other_contract: bool = False,
    computing: Computing | None = None,
    progress: Progress | None = None,
) -> Embedded:
    """Write the embedding of every scan of a list that TurboPrep prepared to one table.

    A scan that cannot be used keeps its row, with an empty embedding and the reason.

    Args:
        listed: the list, and how its scans were registered.
        weights: run folder or weights folder.
        output: the table.
        work: where packed scans and features are kept and found again; None keeps none.
        workers: threads that read scans.
        allow_other_contract: go on where TurboPrep's steps are not the weights' own, with a note.
        computing: where to encode, and how many scans at once; None leaves it to neurofm.
        progress: shown the course of the work.

    Raises:
        RunError: `output` exists or cannot be written.
        ContractError: the weights need other preprocessing than TurboPrep's.
        TableError: the list cannot be meant.
        StoreError: none of its scans can be used.
        WeightsError: the weights cannot be loaded.
    """
    require_new_embeddings(output)
    loaded = load_weights(weights)
    card, encoder = loaded.card, encoder_of(loaded)
    contract, progress = turboprep_contract(listed.transform), progress or SilentProgress()
    notes = require_fitting(contract, card.spacing_mm, card, allow_other_contract)
    selection = select_turboprep(listed, progress)
    with tempfile.TemporaryDirectory(prefix="neurofm-embed-") as temporary:
        folder = (work or Path(temporary)) / "store"
        config = StoreConfig(spacing_mm=card.spacing_mm)
        packed = pack_selection(selection, folder, config, progress, workers)
        store = open_store(folder)
        kept = KeptFeatures(work / KEPT_EMBEDDINGS, card.weights_sha256) if work else None
        how = computing or choose_computing()
        table, features = packed_rows(store), encode_packed(store, encoder, progress, kept, how)
    refused = _refused(selection.listed, table, {f.path: f.reason for f in packed.failures})
    empty = np.full((len(refused), card.features), np.nan, dtype=np.float32)
    table = pd.concat([table, refused], ignore_index=True)
    features = np.concatenate([features, empty])
    table, more = with_distances(table, [features], [loaded])
    write_embeddings(
        output, table, features, card.weights_sha256, contract.fingerprint(),
        preprocessing=contract,
    )  # fmt: skip
    return Embedded(len(table) - len(refused), packed.failures, notes + packed.notes + more)


def _refused(listed: pd.DataFrame, table: pd.DataFrame, reasons: dict[str, str]) -> pd.DataFrame:
    """The rows of the list that are not in the store, with the reason of image or mask."""
    rows = listed[~listed["scan_id"].isin(table["scan_id"])]
    found = rows["path"].map(reasons).fillna(rows["mask_path"].map(reasons))
    return rows.assign(reason=found.astype("string"))
