"""From Python: scans in, a table in memory out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurofm.inference.embed import encode_by
from neurofm.inference.predict import predict_table
from neurofm.models.embedding_table import embedding_rows
from neurofm.models.embeddings import without_places
from neurofm.models.weights import load_weights

PathOrText = Path | str


def embed(
    paths: PathOrText | Sequence[PathOrText],
    weights: PathOrText,
    *,
    work: PathOrText | None = None,
    workers: int = 1,
    allow_other_preprocessing: bool = False,
) -> pd.DataFrame:
    """The embedding of every scan, preprocessed as the weights need: what `neurofm embed` writes.

    Args:
        paths: scan files, folders, tables or indexes of raw scans; or one packed store, or one
            folder of neurofm preprocess.
        weights: run folder or weights folder.
        work: where preprocessed scans and features are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_preprocessing: go on where the preprocessing is not the model's.

    Returns:
        a row a scan; `embedding` is a float32 array, or None where `reason` says why. What a reader
        must know is in `attrs["notes"]`.

    Raises:
        NeurofmError: as `embed_sources`.
    """
    encoded = encode_by(
        [load_weights(Path(weights))], _several(paths), work=None if work is None else Path(work),
        workers=workers, allow_other_contract=allow_other_preprocessing,
    )  # fmt: skip
    (features,), (model,) = encoded.features, encoded.models
    table = without_places(encoded.table).assign(model=model, contract=encoded.contract)
    table["embedding"] = pd.Series(embedding_rows(features), table.index, dtype=object)
    table.attrs["notes"] = list(encoded.notes)
    return table


def predict(
    paths: PathOrText | Sequence[PathOrText],
    weights: PathOrText | Sequence[PathOrText],
    *,
    interval: float = 0.9,
    work: PathOrText | None = None,
    workers: int = 1,
    allow_other_preprocessing: bool = False,
) -> pd.DataFrame:
    """What trained heads say of every scan: what `neurofm predict` writes.

    Args:
        paths: as for `embed`.
        weights: a run of neurofm train or a bundle of one, or several for an ensemble.
        interval: the share of new people whose truth is to lie in the interval or set.
        work: as for `embed`.
        workers: as for `embed`.
        allow_other_preprocessing: as for `embed`.

    Returns:
        a row a scan, with an empty prediction where `reason` says why. What a reader must know is
        in `attrs["notes"]`.

    Raises:
        NeurofmError: as `predict_table`.
    """
    predicted = predict_table(
        _several(paths), _several(weights), level=interval,
        work=None if work is None else Path(work), workers=workers,
        allow_other_contract=allow_other_preprocessing,
    )  # fmt: skip
    predicted.table.attrs["notes"] = list(predicted.done.notes)
    return predicted.table


def _several(paths: PathOrText | Sequence[PathOrText]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
