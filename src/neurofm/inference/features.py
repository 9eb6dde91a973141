"""Features of preprocessed or packed scans by frozen encoders, kept where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import nn

from neurofm.cohorts.failures import Failure, failure_of
from neurofm.data.batch import Batch
from neurofm.data.loader import ScanLoader
from neurofm.errors import ScanError
from neurofm.files import atomic_path, fingerprint_of, sha256_of
from neurofm.inference.computing import Computing
from neurofm.inference.prepared import PreparedScan, joined, prepared_scans
from neurofm.models.card import Card
from neurofm.models.embeddings import row_batches
from neurofm.progress import Progress
from neurofm.store.reader import Store
from neurofm.volumes.grids import model_shape


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
    computing: Computing,
) -> EncodedScans:
    """Encode the scans of `prepare_sources` or `open_derivatives` that have no `reason`.

    Args:
        table: of the scans.
        folder: which its paths are relative to.
        card: what it says of spacing and features holds for all encoders.
        encoders: frozen.
        progress: shown the course of the work.
        kept: for each encoder where features are found again, and kept; None for nowhere.
        computing: where to encode, and how many scans at once.
    """
    shape = (len(table), card.features)
    features = tuple(np.full(shape, np.nan, dtype=np.float32) for _ in encoders)
    reasons, failures = table["reason"].astype(object).tolist(), []
    usable = np.flatnonzero(table["reason"].isna()).tolist()
    scans = list(zip(usable, prepared_scans(table.iloc[usable], folder), strict=True))
    size = computing.scans_at_once(model_shape(card.spacing_mm))
    progress.start("Encoding", len(scans), "scans")
    for start in range(0, len(scans), size):
        some, readable = scans[start : start + size], []
        for row, scan in some:
            try:
                readable.append(_read(row, scan, kept, card.spacing_mm))
            except ScanError as error:
                failure = failure_of(error, scan.image_path, scan.participant, "encoding")
                failures.append(failure)
                reasons[row] = failure.reason
        for place, (encoder, found) in enumerate(zip(encoders, features, strict=True)):
            _encode_some(readable, place, encoder, found, computing)
        progress.advance(len(some))
    progress.finish()
    told = pd.Series(reasons, index=table.index, dtype="string")
    return EncodedScans(table.assign(reason=told), features, tuple(failures))


def encode_packed(
    store: Store,
    encoder: nn.Module,
    progress: Progress,
    kept: KeptFeatures | None,
    computing: Computing,
) -> Float[np.ndarray, "scans features"]:
    """Features of all scans of a store, in its order.

    Args:
        store: an open store.
        encoder: frozen.
        progress: shown the course of the work.
        kept: where the features of each batch are found again, and kept; None for nowhere.
        computing: where to encode, and how many scans at once.
    """
    batches = row_batches(store, range(len(store)), computing.batch_size)
    paths = [None if kept is None else kept.path_of_rows(store, rows) for rows in batches]
    found = {
        number: np.asarray(np.load(path, allow_pickle=False))
        for number, path in enumerate(paths)
        if path is not None and path.is_file()
    }
    waiting = [number for number in range(len(batches)) if number not in found]
    left = sum(len(batches[number]) for number in waiting)
    progress.start("Encoding", len(store), "scans", done=len(store) - left)
    loaded = ScanLoader(store).batches([batches[number] for number in waiting])
    for number, batch in zip(waiting, loaded, strict=True):
        found[number] = computing.features(encoder, batch)
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


@dataclass(frozen=True, eq=False)
class _Readable:
    """A scan to be encoded.

    Attributes:
        row: in the table.
        batch: the scan alone; None where every encoder's features are kept.
        paths: for each encoder where its features are, or are to be, kept.
    """

    row: int
    batch: Batch | None
    paths: tuple[Path | None, ...]


def _read(
    row: int, scan: PreparedScan, kept: Sequence[KeptFeatures | None], spacing_mm: float
) -> _Readable:
    paths = tuple(None if each is None else each.path_of(scan, spacing_mm) for each in kept)
    return _Readable(row, None if all(map(_is_kept, paths)) else scan.batch(spacing_mm), paths)


def _encode_some(
    scans: Sequence[_Readable],
    place: int,
    encoder: nn.Module,
    found: Float[np.ndarray, "scans features"],
    computing: Computing,
) -> None:
    """Fill in the features of some scans by the encoder at a place; what is kept is loaded."""
    waiting = []
    for scan in scans:
        path = scan.paths[place]
        if path is not None and path.is_file():
            found[scan.row] = np.load(path, allow_pickle=False)
        elif scan.batch is not None:
            waiting.append((scan, path, scan.batch))
    if waiting:
        encoded = computing.features(encoder, joined([batch for _, _, batch in waiting]))
        for (scan, path, _), features in zip(waiting, encoded, strict=True):
            found[scan.row] = features
            _keep(features, path)


def _is_kept(path: Path | None) -> bool:
    return path is not None and path.is_file()


def _keep(found: Float[np.ndarray, "..."], path: Path | None) -> None:
    if path is not None:
        with atomic_path(path) as temporary:
            np.save(temporary, found)
