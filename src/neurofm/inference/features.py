"""Features of preprocessed or packed scans by frozen encoders, kept where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn

from neurofm.cohorts.failures import Failure, failure_of
from neurofm.data.loader import ScanLoader
from neurofm.errors import ScanError
from neurofm.files import atomic_path, fingerprint_of, sha256_of
from neurofm.inference.prepared import PreparedScan, prepared_scans
from neurofm.models.card import Card
from neurofm.models.embeddings import row_batches
from neurofm.models.encoding import encode
from neurofm.progress import Progress
from neurofm.store.reader import Store
from neurofm.training.device import choose_device


@dataclass(frozen=True, eq=False)
class EncodedScans:
    """What encoders made of preprocessed scans.

    Attributes:
        table: with the `reason` of those that could not be read.
        features: of each encoder, rows as in the table; NaN for unusable scans.
        failures: scans that could not be read, in addition to those that had a reason.
    """

    table: pd.DataFrame
    features: tuple[Float[np.ndarray, "scans features"], ...]
    failures: tuple[Failure, ...]


def encode_prepared(
    table: pd.DataFrame,
    folder: Path,
    card: Card,
    encoders: Sequence[nn.Module],
    progress: Progress,
    *,
    kept: Sequence[KeptFeatures | None],
) -> EncodedScans:
    """Encode the scans of `prepare_sources` or `open_derivatives` that have no `reason`.

    Args:
        table: of the scans.
        folder: which its paths are relative to.
        card: what it says of spacing and features holds for all encoders.
        encoders: frozen.
        progress: shown the course of the work.
        kept: for each encoder where features are found again, and kept; None for nowhere.
    """
    shape = (len(table), card.features)
    features = tuple(np.full(shape, np.nan, dtype=np.float32) for _ in encoders)
    reasons, failures = table["reason"].astype(object).tolist(), []
    usable = np.flatnonzero(table["reason"].isna())
    scans, device = prepared_scans(table.iloc[usable], folder), choose_device()
    progress.start("Encoding", len(usable), "scans")
    for row, scan in zip(usable.tolist(), scans, strict=True):
        try:
            for encoder, place, found in zip(encoders, kept, features, strict=True):
                found[row] = _features(scan, encoder, place, card.spacing_mm, device)
        except ScanError as error:
            failure = failure_of(error, scan.image_path, scan.participant, "encoding")
            failures.append(failure)
            reasons[row] = failure.reason
            for found in features:
                found[row] = np.nan
        progress.advance()
    progress.finish()
    told = pd.Series(reasons, index=table.index, dtype="string")
    return EncodedScans(table.assign(reason=told), features, tuple(failures))


def encode_packed(
    store: Store, encoder: nn.Module, progress: Progress, kept: KeptFeatures | None
) -> Float[np.ndarray, "scans features"]:
    """Features of all scans of a store, in its order.

    Args:
        store: an open store.
        encoder: frozen.
        progress: shown the course of the work.
        kept: where the features of each batch are found again, and kept; None for nowhere.
    """
    batches = row_batches(store, range(len(store)))
    paths = [None if kept is None else kept.path_of_rows(store, rows) for rows in batches]
    found = {
        number: np.asarray(np.load(path, allow_pickle=False))
        for number, path in enumerate(paths)
        if path is not None and path.is_file()
    }
    waiting = [number for number in range(len(batches)) if number not in found]
    left, device = sum(len(batches[number]) for number in waiting), choose_device()
    progress.start("Encoding", len(store), "scans", done=len(store) - left)
    loaded = ScanLoader(store).batches([batches[number] for number in waiting])
    for number, batch in zip(waiting, loaded, strict=True):
        found[number] = np.asarray(encode(encoder, [batch], device))
        _keep(found[number], paths[number])
        progress.advance(len(batch))
    progress.finish()
    return np.concatenate([found[number] for number in range(len(batches))])


@dataclass(frozen=True)
class KeptFeatures:
    """A folder of features, so that an interrupted command does not encode again.

    Attributes:
        folder: of these features alone.
        model: SHA-256 of the weights.
    """

    folder: Path
    model: str

    def path_of(self, scan: PreparedScan, spacing_mm: float) -> Path:
        """Where the features of a scan are: named by what they were made from.

        Raises:
            ScanError: a file cannot be read.
        """
        try:
            sums = [sha256_of(path) for path in (scan.image_path, scan.mask_path)]
        except OSError as error:
            raise ScanError(f"cannot be read ({error.strerror})", "preprocess it again") from None
        return self.folder / f"{fingerprint_of([self.model, spacing_mm, *sums])}.npy"

    def path_of_rows(self, store: Store, rows: Sequence[int]) -> Path:
        """Where the features of neighbouring rows of a store are: named by its content."""
        made_of = [store.content, store.contract.fingerprint(), store.spacing_mm, len(store)]
        made_by = [self.model, "packed", *made_of, rows[0], rows[-1] + 1]
        return self.folder / f"{fingerprint_of(made_by)}.npy"


def _features(
    scan: PreparedScan,
    encoder: nn.Module,
    kept: KeptFeatures | None,
    spacing_mm: float,
    device: torch.device,
) -> Float[np.ndarray, " features"]:
    path = kept.path_of(scan, spacing_mm) if kept is not None else None
    if path is not None and path.is_file():
        return np.asarray(np.load(path, allow_pickle=False))
    found = np.asarray(encode(encoder, [scan.batch(spacing_mm)], device)[0])
    _keep(found, path)
    return found


def _keep(found: Float[np.ndarray, "..."], path: Path | None) -> None:
    if path is not None:
        with atomic_path(path) as temporary:
            np.save(temporary, found)
