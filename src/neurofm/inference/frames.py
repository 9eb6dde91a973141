"""From Python: scans in, a table in memory out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neurofm.inference.computing import choose_computing
from neurofm.inference.embed import encode_by
from neurofm.inference.predict import predict_table
from neurofm.models.card import read_card
from neurofm.models.embedding_table import embedding_rows
from neurofm.models.embeddings import without_places
from neurofm.models.references import Located, locate
from neurofm.models.suitability import origin_of
from neurofm.models.weights import load_weights

PathOrText = Path | str


def embed(
    paths: PathOrText | Sequence[PathOrText],
    weights: PathOrText,
    *,
    work: PathOrText | None = None,
    workers: int = 1,
    allow_other_preprocessing: bool = False,
    device: str = "auto",
    batch_size: int | None = None,
) -> pd.DataFrame:
    """The embedding of every scan, preprocessed as the weights need: what `neurofm embed` writes.

    Args:
        paths: scan files, folders, tables or indexes of raw scans; or one packed store, or one
            folder of neurofm preprocess.
        weights: a run, a bundle, "hf://OWNER/NAME[@REVISION]", or a published checkpoint.
        work: where preprocessed scans and features are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_preprocessing: go on where the preprocessing is not the weights' own.
        device: where to encode: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:1".
        batch_size: scans encoded at once; no result depends on it. None leaves it to neurofm.

    Returns:
        a row a scan; `embedding` is a float32 array, or None where `reason` says why. What a reader
        must know is in `attrs["notes"]`, with the citation and terms of the weights.

    Raises:
        NeurofmError: as `locate` and `embed_sources`.
    """
    computing = choose_computing(device, batch_size)
    found = locate(weights)
    encoded = encode_by(
        [load_weights(found.folder)], _several(paths), work=None if work is None else Path(work),
        workers=workers, allow_other_contract=allow_other_preprocessing, computing=computing,
    )  # fmt: skip
    (features,), (model,) = encoded.features, encoded.models
    table = without_places(encoded.table).assign(model=model, contract=encoded.contract)
    table["embedding"] = pd.Series(embedding_rows(features), table.index, dtype=object)
    table.attrs["notes"] = _notes([found], encoded.notes)
    return table


def predict(
    paths: PathOrText | Sequence[PathOrText],
    weights: PathOrText | Sequence[PathOrText],
    *,
    interval: float = 0.9,
    work: PathOrText | None = None,
    workers: int = 1,
    allow_other_preprocessing: bool = False,
    device: str = "auto",
    batch_size: int | None = None,
) -> pd.DataFrame:
    """What trained heads say of every scan: what `neurofm predict` writes.

    Args:
        paths: as for `embed`.
        weights: a run of neurofm train, a bundle of one, or "hf://OWNER/NAME[@REVISION]"; several
            for an ensemble.
        interval: the share of new people whose truth is to lie in the interval or set.
        work: as for `embed`.
        workers: as for `embed`.
        allow_other_preprocessing: as for `embed`.
        device: as for `embed`.
        batch_size: as for `embed`.

    Returns:
        a row a scan, with an empty prediction where `reason` says why. What a reader must know is
        in `attrs["notes"]`, with the citation and terms of the weights.

    Raises:
        NeurofmError: as `locate` and `predict_table`.
    """
    computing = choose_computing(device, batch_size)
    found = [locate(each) for each in _listed(weights)]
    predicted = predict_table(
        _several(paths), [each.folder for each in found], level=interval,
        work=None if work is None else Path(work), workers=workers,
        allow_other_contract=allow_other_preprocessing, computing=computing,
    )  # fmt: skip
    predicted.table.attrs["notes"] = _notes(found, predicted.done.notes)
    return predicted.table


def _notes(weights: Sequence[Located], others: Sequence[str]) -> list[str]:
    """What weights are and under which terms, each line once; then the other notes."""
    known = [note for each in weights for note in (*each.notes, *origin_of(read_card(each.folder)))]
    return [*dict.fromkeys(known), *others]


def _several(paths: PathOrText | Sequence[PathOrText]) -> list[Path]:
    return [Path(path) for path in _listed(paths)]


def _listed(given: PathOrText | Sequence[PathOrText]) -> list[PathOrText]:
    return [given] if isinstance(given, str | Path) else list(given)
