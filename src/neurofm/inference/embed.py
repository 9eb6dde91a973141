"""From raw scans to embeddings: preprocess as the model was trained, then encode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn

from neurofm.cohorts.failures import Failure
from neurofm.config.preparation import PreprocessConfig
from neurofm.config.recipe import check_recipe
from neurofm.data.batch import Batch
from neurofm.errors import ContractError, RunError
from neurofm.files import require_writable
from neurofm.inference.prepared import prepare_sources, prepared_batches, work_folder
from neurofm.inference.sources import is_store
from neurofm.models.card import Card, read_card
from neurofm.models.embeddings import embed_store, write_embeddings
from neurofm.models.encoding import encode
from neurofm.models.suitability import origin_of, require_prepared_for
from neurofm.models.weights import load_encoder
from neurofm.preprocess.contract import Contract, contract_of
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store, open_store
from neurofm.training.device import choose_device


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
    progress: Progress | None = None,
) -> Embedded:
    """Write the embedding of every scan of the sources to one Parquet table.

    A scan that cannot be used keeps its row, with an empty embedding and the reason.

    Args:
        sources: scan files, folders, tables or indexes of raw scans; or one packed store.
        weights: run folder or weights folder.
        output: the table.
        work: where the preprocessed scans are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_contract: go on where the preprocessing is not the model's, with a note; what
            imported weights need, whose steps neurofm matches in kind but not in every tool.
        progress: shown the course of the work.

    Raises:
        RunError: `output` exists or cannot be written.
        ContractError: scans cannot be, or were not, preprocessed as the weights need.
        TableError: a source cannot be read.
        WeightsError: the weights cannot be loaded.
    """
    require_new(output)
    card, encoder = read_card(weights), load_encoder(weights)
    encoded = encode_sources(
        sources, card, [encoder], work=work, workers=workers,
        allow_other_contract=allow_other_contract, progress=progress or SilentProgress(),
    )  # fmt: skip
    (features,) = encoded.features
    write_embeddings(output, encoded.table, features, card.weights_sha256, encoded.contract)
    return Embedded(encoded.usable, encoded.failures, encoded.notes)


@dataclass(frozen=True, eq=False)
class Encoded:
    """Scans and what one or more encoders made of them.

    Attributes:
        table: a row for each scan, with the `reason` why it is unusable.
        features: of each encoder, rows as in the table; NaN for unusable scans.
        contract: fingerprint of the preprocessing.
        failures: the unusable scans.
        notes: what a reader must know, in plain words.
    """

    table: pd.DataFrame
    features: tuple[Float[np.ndarray, "scans features"], ...]
    contract: str
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]

    @property
    def usable(self) -> int:
        """How many scans have features."""
        return int(self.table["reason"].isna().sum())


def encode_sources(
    sources: Sequence[Path],
    card: Card,
    encoders: Sequence[nn.Module],
    *,
    work: Path | None,
    workers: int,
    allow_other_contract: bool,
    progress: Progress,
) -> Encoded:
    """Prepare the scans of the sources once, as a card wants them, and encode them.

    Args:
        sources: scan files, folders, tables or indexes of raw scans; or one packed store.
        card: what it says of preprocessing and spacing holds for all encoders.
        encoders: frozen.
        work: where the preprocessed scans are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_contract: go on where the preprocessing is not the card's, with a note.
        progress: shown the course of the work.

    Raises:
        ContractError: scans cannot be, or were not, preprocessed as the card says.
        TableError: a source cannot be read.
    """
    if is_store(sources):
        store = open_store(sources[0])
        notes = require_fitting(store.contract, store.spacing_mm, card, allow_other_contract)
        packed = [embed_packed(store, encoder, progress) for encoder in encoders]
        features = tuple(features for _, features in packed)
        contract = store.contract.fingerprint()
        return Encoded(packed[0][0], features, contract, (), notes + origin_of(card))
    config, notes = preprocessing_of(card, allow_other_contract)
    with work_folder(work) as folder:
        table, failures = prepare_sources(sources, folder, config, workers, progress)
        features = tuple(
            _embed_prepared(table, folder, card, encoder, progress) for encoder in encoders
        )
    contract = contract_of(config).fingerprint()
    return Encoded(table, features, contract, failures, notes + origin_of(card))


def require_new(output: Path) -> None:
    """Refuse, before any work, a table that exists or cannot be written.

    Raises:
        RunError: it does, or it cannot.
    """
    if output.exists():
        raise RunError("exists already", "remove it, or choose another -o", output)
    require_writable(output)


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


def embed_packed(
    store: Store, encoder: nn.Module, progress: Progress
) -> tuple[pd.DataFrame, Float[np.ndarray, "scans features"]]:
    """The rows of a store, none with a reason against it, and their features."""
    features = embed_store(encoder, store, range(len(store)), choose_device(), progress)
    return store.index.assign(reason=pd.Series(pd.NA, store.index.index, dtype="string")), features


def _embed_prepared(
    table: pd.DataFrame, folder: Path, card: Card, encoder: nn.Module, progress: Progress
) -> Float[np.ndarray, "scans features"]:
    features = np.full((len(table), card.features), np.nan, dtype=np.float32)
    usable = np.flatnonzero(table["reason"].isna())
    if len(usable):
        progress.start("Encoding", len(usable), "scans")
        batches = prepared_batches(table.iloc[usable], folder, card.spacing_mm)
        features[usable] = encode(encoder, _counted(batches, progress), choose_device())
        progress.finish()
    return features


def _counted(batches: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        progress.advance()
