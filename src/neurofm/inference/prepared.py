"""Preprocessed scans, made as a model needs them or made before, and read as it takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import participant_keys, read_index
from neurofm.config.preparation import PreprocessConfig
from neurofm.data.batch import Batch
from neurofm.data.prepare import model_input
from neurofm.inference.sources import gather_index
from neurofm.preprocess.batch import preprocess_index
from neurofm.preprocess.layout import INDEX_FILE
from neurofm.progress import Progress
from neurofm.volumes.nifti import read_mask, read_volume


def prepare_sources(
    sources: Sequence[Path],
    folder: Path,
    config: PreprocessConfig,
    workers: int,
    progress: Progress,
) -> tuple[pd.DataFrame, tuple[Failure, ...]]:
    """Preprocess every scan of the sources into a folder of derivatives.

    Args:
        sources: scan files, folders, tables or indexes of raw scans.
        folder: the derivatives; what is finished there is used again.
        config: how to preprocess.
        workers: processes that preprocess scans side by side.
        progress: shown the course of the work.

    Returns:
        every scan with `image_path` and `brain_mask_path` below the folder, or with a `reason` why
        it is unusable; and the failures.

    Raises:
        TableError: a source cannot be read.
    """
    frame = gather_index(sources, folder / "sources.parquet", config, progress)
    done = preprocess_index(frame, folder, config, workers, progress)
    prepared = read_index(folder / INDEX_FILE)
    return _with_reasons(frame, prepared, done.failures), done.failures


@dataclass(frozen=True)
class PreparedScan:
    """A preprocessed scan: its two files, and whose it is ("cohort/participant_id")."""

    image_path: Path
    mask_path: Path
    participant: str

    def batch(self, spacing_mm: float) -> Batch:
        """The scan alone, as a model takes it but for the z-score.

        Raises:
            ScanError: a file cannot be read, or is not on the template grid.
        """
        image, mask = read_volume(self.image_path).volume, read_mask(self.mask_path)
        return Batch(*model_input(image, mask, spacing_mm), (-1,), (self.participant,), 0)


def prepared_batches(rows: pd.DataFrame, folder: Path, spacing_mm: float) -> Iterator[Batch]:
    """One batch for each row of a table of `prepare_sources`, intensities as preprocessed."""
    for scan in prepared_scans(rows, folder):
        yield scan.batch(spacing_mm)


def joined(scans: Sequence[Batch]) -> Batch:
    """One batch of several without views, in their order."""
    return Batch(
        torch.cat([each.images for each in scans]),
        torch.cat([each.masks for each in scans]),
        tuple(row for each in scans for row in each.rows),
        tuple(item for each in scans for item in each.items),
        epoch=0,
    )


def prepared_scans(rows: pd.DataFrame, folder: Path) -> list[PreparedScan]:
    """The scans of rows whose `image_path` and `brain_mask_path` are relative to a folder."""
    paths = zip(rows["image_path"], rows["brain_mask_path"], participant_keys(rows), strict=True)
    return [
        PreparedScan(folder / str(image), folder / str(mask), str(key))
        for image, mask, key in paths
    ]


@contextmanager
def work_folder(work: Path | None) -> Iterator[Path]:
    """A folder to keep results in, made where need be; without one, a temporary folder."""
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="neurofm-embed-") as name:
        yield Path(name)


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
