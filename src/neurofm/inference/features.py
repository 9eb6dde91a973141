"""Features of preprocessed scans by one or more encoders, scan by scan, kept where asked."""

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
from neurofm.errors import ScanError
from neurofm.files import atomic_path, fingerprint_of, sha256_of
from neurofm.inference.prepared import PreparedScan, prepared_scans
from neurofm.models.card import Card
from neurofm.models.encoding import encode
from neurofm.progress import Progress
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


@dataclass(frozen=True)
class KeptFeatures:
    """A folder of features by scan, so that an interrupted command does not encode again.

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
    if path is not None:
        with atomic_path(path) as temporary:
            np.save(temporary, found)
    return found
