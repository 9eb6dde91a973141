"""From raw scans to embeddings: preprocess as the model was trained, then encode."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn

from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import participant_keys, read_index
from neurofm.config.preparation import PreprocessConfig
from neurofm.config.recipe import check_recipe, check_section
from neurofm.data.batch import Batch
from neurofm.data.prepare import model_input
from neurofm.errors import ContractError, RunError
from neurofm.files import require_writable
from neurofm.inference.sources import gather_index, is_store
from neurofm.models.card import Card, read_card
from neurofm.models.embeddings import embed_store, write_embeddings
from neurofm.models.encoding import encode
from neurofm.models.weights import load_encoder
from neurofm.preprocess.batch import preprocess_index
from neurofm.preprocess.contract import Contract, contract_of, require_same
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store, open_store
from neurofm.training.device import choose_device
from neurofm.volumes.nifti import read_mask, read_volume


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
    if output.exists():
        raise RunError("exists already", "remove it, or choose another -o", output)
    require_writable(output)
    card, encoder = read_card(weights), load_encoder(weights)
    progress = progress or SilentProgress()
    if is_store(sources):
        store = open_store(sources[0])
        notes = require_fitting(store.contract, store.spacing_mm, card, allow_other_contract)
        table, features = embed_packed(store, encoder, progress)
        write_embeddings(output, table, features, card.weights_sha256, store.contract.fingerprint())
        return Embedded(len(table), (), notes)
    config, notes = preprocessing_of(card, allow_other_contract)
    with _folder(work) as folder:
        frame = gather_index(sources, folder / "sources.parquet", config, progress)
        done = preprocess_index(frame, folder, config, workers, progress)
        table = _with_reasons(frame, read_index(folder / "index.parquet"), done.failures)
        features = _embed_prepared(table, folder, card, encoder, progress)
    contract = contract_of(config).fingerprint()
    write_embeddings(output, table, features, card.weights_sha256, contract)
    return Embedded(int(table["reason"].isna().sum()), done.failures, notes)


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
    wanted = check_section(Contract, card.contract, "card.json")
    return config, require_same(contract_of(config), wanted, allow_other_contract)


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
    if card.contract is None:
        return ()
    wanted = check_section(Contract, card.contract, "card.json")
    return require_same(contract, wanted, allow_other_contract)


def embed_packed(
    store: Store, encoder: nn.Module, progress: Progress
) -> tuple[pd.DataFrame, Float[np.ndarray, "scans features"]]:
    """The rows of a store, none with a reason against it, and their features."""
    features = embed_store(encoder, store, range(len(store)), choose_device(), progress)
    return store.index.assign(reason=pd.Series(pd.NA, store.index.index, dtype="string")), features


def _with_reasons(
    frame: pd.DataFrame, prepared: pd.DataFrame, failures: tuple[Failure, ...]
) -> pd.DataFrame:
    """Every scan of the sources with its preprocessed image, or with the reason it is unusable."""
    places = ["image_path", "brain_mask_path", "verdict"]
    raw = frame.drop(columns=places, errors="ignore")
    found = prepared[["scan_id", *places]]
    table = raw.merge(found, on="scan_id", how="left", validate="one_to_one")
    reasons = {failure.path: failure.reason for failure in failures}
    return table.assign(reason=table["path"].map(reasons).astype("string"))


def _embed_prepared(
    table: pd.DataFrame, folder: Path, card: Card, encoder: nn.Module, progress: Progress
) -> Float[np.ndarray, "scans features"]:
    features = np.full((len(table), card.features), np.nan, dtype=np.float32)
    usable = np.flatnonzero(table["reason"].isna())
    if len(usable):
        progress.start("Encoding", len(usable), "scans")
        batches = _batches(table.iloc[usable], folder, card.spacing_mm, progress)
        features[usable] = encode(encoder, batches, choose_device())
        progress.finish()
    return features


def _batches(
    rows: pd.DataFrame, folder: Path, spacing_mm: float, progress: Progress
) -> Iterator[Batch]:
    paths = zip(rows["image_path"], rows["brain_mask_path"], participant_keys(rows), strict=True)
    for image_path, mask_path, key in paths:
        image = read_volume(folder / str(image_path)).volume
        mask = read_mask(folder / str(mask_path))
        images, masks = model_input(image, mask, spacing_mm)
        yield Batch(images, masks, (-1,), (str(key),), 0)
        progress.advance()


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="neurofm-embed-") as name:
        yield Path(name)
