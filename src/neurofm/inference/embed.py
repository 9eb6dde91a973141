"""From raw scans to embeddings: preprocess as the model was trained, then encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn

from neurofm.cohorts.failures import Failure
from neurofm.config.preparation import PreprocessConfig
from neurofm.config.recipe import check_recipe
from neurofm.errors import ContractError, RunError
from neurofm.files import require_writable
from neurofm.inference.computing import Computing, choose_computing
from neurofm.inference.derivatives import is_derivatives, open_derivatives, whole_folder
from neurofm.inference.distances import with_distances
from neurofm.inference.features import KeptFeatures, encode_packed, encode_prepared
from neurofm.inference.prepared import prepare_sources, work_folder
from neurofm.inference.sources import is_store
from neurofm.models.card import Card
from neurofm.models.embedding_table import CSV, TABLE_FORMS, contract_beside
from neurofm.models.embeddings import write_embeddings
from neurofm.models.suitability import require_prepared_for
from neurofm.models.weights import LoadedWeights, encoder_of, load_weights
from neurofm.preprocess.contract import Contract, contract_of
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store, open_store

KEPT_EMBEDDINGS = ".embeddings"  # in the folder of work; no cohort's folder is called so


@dataclass(frozen=True)
class Embedded:
    """What became of the scans.

    Attributes:
        scans: how many have an embedding.
        failures: those that have none, and why.
        notes: what a reader must know, in plain words.
    """

    scans: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def embed_sources(
    sources: Sequence[Path],
    weights: Path,
    output: Path,
    *,
    work: Path | None = None,
    workers: int = 1,
    allow_other_contract: bool = False,
    computing: Computing | None = None,
    progress: Progress | None = None,
) -> Embedded:
    """Write the embedding of every scan of the sources to one table, Parquet or CSV.

    A scan that cannot be used keeps its row, with an empty embedding and the reason.

    Args:
        sources: scan files, folders, tables or indexes of raw scans; or one packed store, or one
            folder of neurofm preprocess.
        weights: run folder or weights folder.
        output: the table.
        work: where preprocessed scans and features are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_contract: go on where the preprocessing is not the weights' own, with a note.
            Weights that take neurofm's default steps in place of their makers' tools, such as the
            paper's, need it only where other steps than these were taken.
        computing: where to encode, and how many scans at once; None leaves it to neurofm.
        progress: shown the course of the work.

    Raises:
        RunError: `output` exists, cannot be written, or has another ending.
        ContractError: scans cannot be, or were not, preprocessed as the weights need.
        TableError: a source cannot be read.
        WeightsError: the weights cannot be loaded.
    """
    require_new_embeddings(output)
    encoded = encode_by(
        [load_weights(weights)], sources, work=work, workers=workers,
        allow_other_contract=allow_other_contract, computing=computing, progress=progress,
    )  # fmt: skip
    write_embeddings(
        output, encoded.table, encoded.features[0], encoded.models[0], encoded.contract,
        preprocessing=encoded.preprocessing,
    )  # fmt: skip
    return Embedded(encoded.usable, encoded.failures, encoded.notes)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Scans and what one or more encoders made of them.

    Attributes:
        table: a row for each scan, with the `reason` why it is unusable.
        features: of each encoder, rows as in the table; NaN for unusable scans.
        preprocessing: the contract the scans were prepared by.
        failures: the unusable scans.
        notes: what a reader must know, in plain words.
        models: SHA-256 of the encoders' weights.
    """

    table: pd.DataFrame
    features: tuple[Float[np.ndarray, "scans features"], ...]
    preprocessing: Contract
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    models: tuple[str, ...]

    @property
    def contract(self) -> str:
        """Fingerprint of the preprocessing."""
        return self.preprocessing.fingerprint()

    @property
    def usable(self) -> int:
        """How many scans have features."""
        return int(self.table["reason"].isna().sum())


def encode_by(
    weights: Sequence[LoadedWeights],
    sources: Sequence[Path],
    *,
    work: Path | None = None,
    workers: int = 1,
    allow_other_contract: bool = False,
    computing: Computing | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Encode scans by one or more sets of weights, and tell their distances from training.

    Arguments and errors are those of `embed_sources`; the first card says how scans are prepared.
    """
    encoded = _encode_sources(
        sources, weights[0].card, [encoder_of(each) for each in weights], work=work,
        workers=workers, allow_other_contract=allow_other_contract,
        computing=computing or choose_computing(), progress=progress or SilentProgress(),
        models=tuple(each.card.weights_sha256 for each in weights),
    )  # fmt: skip
    table, notes = with_distances(encoded.table, encoded.features, weights)
    return replace(encoded, table=table, notes=encoded.notes + notes)


def _encode_sources(
    sources: Sequence[Path],
    card: Card,
    encoders: Sequence[nn.Module],
    *,
    work: Path | None,
    workers: int,
    allow_other_contract: bool,
    computing: Computing,
    progress: Progress,
    models: tuple[str, ...],
) -> Encoded:
    """Prepare the scans of the sources once, as a card wants them, and encode them.

    Args:
        sources: scan files, folders, tables or indexes of raw scans; or one packed store, or one
            folder of neurofm preprocess.
        card: what it says of preprocessing and spacing holds for all encoders.
        encoders: frozen.
        work: where preprocessed scans and features are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_contract: go on where the preprocessing is not the card's, with a note.
        computing: where to encode, and how many scans at once.
        progress: shown the course of the work.
        models: SHA-256 of each encoder's weights.

    Raises:
        ContractError: scans cannot be, or were not, preprocessed as the card says.
        TableError: a source cannot be read.
    """
    sources = whole_folder(sources)
    kept = [
        None if work is None else KeptFeatures(work / KEPT_EMBEDDINGS, model) for model in models
    ]
    if is_store(sources):
        store = open_store(sources[0])
        notes = require_fitting(store.contract, store.spacing_mm, card, allow_other_contract)
        pairs = zip(encoders, kept, strict=True)
        features = tuple(
            encode_packed(store, each, progress, place, computing) for each, place in pairs
        )
        return Encoded(packed_rows(store), features, store.contract, (), notes, models)
    if is_derivatives(sources):
        given = open_derivatives(sources[0])
        notes = require_fitting(given.contract, card.spacing_mm, card, allow_other_contract)
        found = encode_prepared(
            given.table, sources[0], card, encoders, progress, kept=kept, computing=computing
        )
        failures = given.failures + found.failures
        return Encoded(found.table, found.features, given.contract, failures, notes, models)
    config, notes = preprocessing_of(card, allow_other_contract)
    with work_folder(work) as folder:
        table, failures = prepare_sources(sources, folder, config, workers, progress)
        found = encode_prepared(
            table, folder, card, encoders, progress, kept=kept, computing=computing
        )
    failures, contract = failures + found.failures, contract_of(config)
    return Encoded(found.table, found.features, contract, failures, notes, models)


def require_new(output: Path) -> None:
    """Refuse, before any work, a table that exists or cannot be written.

    Raises:
        RunError: it does, or it cannot.
    """
    if output.exists():
        raise RunError("exists already", "remove it, or choose another -o", output)
    require_writable(output)


def require_new_table(output: Path) -> None:
    """The same of a table, in a form that can be written.

    Raises:
        RunError: it exists, cannot be written, or has another ending.
    """
    if output.suffix not in TABLE_FORMS:
        mend = f"use {' or '.join(TABLE_FORMS)}"
        raise RunError("has an ending that is no table's", mend, output)
    require_new(output)


def require_new_embeddings(output: Path) -> None:
    """The same of a table of embeddings, beside which a CSV has its contract.

    Raises:
        RunError: either exists, cannot be written, or has another ending.
    """
    require_new_table(output)
    if output.suffix == CSV:
        require_new(contract_beside(output))


def preprocessing_of(
    card: Card, allow_other_contract: bool = False
) -> tuple[PreprocessConfig, tuple[str, ...]]:
    """The preprocessing a model needs, from its card; with a note where the card does not say.

    Raises:
        ContractError: neurofm does not preprocess as the model needs, unless that is allowed.
    """
    if card.recipe is None:
        config = PreprocessConfig()
    else:
        config = check_recipe(dict(card.recipe), "card.json").preprocess
    if card.contract is None:
        return config, (
            "The weights do not say how their scans were preprocessed: neurofm's defaults used.",
        )
    return config, require_prepared_for(card, contract_of(config), allow_other_contract)


def require_fitting(
    contract: Contract, spacing_mm: float, card: Card, allow_other_contract: bool
) -> tuple[str, ...]:
    """Refuse packed scans that were not prepared as the weights need, or note what differs.

    Raises:
        ContractError: names what differs.
    """
    if abs(spacing_mm - card.spacing_mm) > 1e-6:
        raise ContractError(
            f"the store is at {spacing_mm:g} mm, the weights need {card.spacing_mm:g} mm",
            f"pack with store.spacing_mm={card.spacing_mm:g}",
        )
    return require_prepared_for(card, contract, allow_other_contract)


def packed_rows(store: Store) -> pd.DataFrame:
    """The rows of a store, none with a reason against it."""
    return store.index.assign(reason=pd.Series(pd.NA, store.index.index, dtype="string"))
