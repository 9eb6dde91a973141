"""Pack preprocessed scans into a store: whole shards only, so an interrupted pack goes on."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ScanError, StoreError
from neurofm.files import (
    fingerprint_of,
    only_writer,
    sweep_unfinished,
    write_bytes,
)
from neurofm.preprocess.contract import read_contract
from neurofm.progress import Progress, SilentProgress
from neurofm.store.manifest import (
    CONTRACT,
    INDEX,
    MANIFEST,
    SHARDS,
    Manifest,
    read_manifest,
    record_file,
    write_manifest,
)
from neurofm.store.model_input import to_model_order
from neurofm.store.quantise import Quantised, quantise
from neurofm.store.selection import Source, select_sources
from neurofm.store.shards import (
    PackedScan,
    RefusedScan,
    Shard,
    ShardPaths,
    array_file,
    describe,
    packed_mask_bytes,
    read_shard,
    write_shard,
)
from neurofm.volumes.grids import model_shape
from neurofm.volumes.nifti import read_mask, read_volume

_OWN_NAMES = {MANIFEST, INDEX, CONTRACT, SHARDS, "failures.csv", ".lock"}


@dataclass(frozen=True, eq=False)
class PackResult:
    """What packing did.

    Attributes:
        packed: scans written now.
        reused: scans an earlier, interrupted or equal pack had written.
        skipped: ids of scans left out because their quality verdict is "fail".
        failures: scans that could not be packed.
    """

    packed: int
    reused: int
    skipped: tuple[str, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, eq=False)
class _Packed:
    image: Quantised
    bits: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def pack(
    derivatives: Path,
    folder: Path,
    config: StoreConfig,
    progress: Progress | None = None,
    workers: int = 1,
) -> PackResult:
    """Pack the scans of a derivatives folder into a store that models read.

    Scans stand in the order of their ids. The same command continues an interrupted pack with its
    finished shards, and refreshes the labels of a finished store. Scans with a quality verdict of
    "fail" stay out unless `config.include_failed` names them.

    Args:
        derivatives: folder of `neurofm preprocess`.
        folder: the store; missing, empty, or a store of the same scans and settings.
        config: spacing, shard size, failed scans to let in.
        progress: told about every scan.
        workers: threads that read and quantise; the result does not depend on it.

    Raises:
        StoreError: the folder holds something else, the disk is too small, or no scan is usable.
        ConfigError: the spacing does not fit, or a scan to let in does not exist.
        RunError: another process is writing to the folder.
    """
    _refuse_foreign_folder(folder, derivatives)
    sources, skipped, frame = select_sources(derivatives, config)
    shards = [
        sources[first : first + config.scans_per_shard]
        for first in range(0, len(sources), config.scans_per_shard)
    ]
    shape = model_shape(config.spacing_mm)
    contract = read_contract(derivatives).fingerprint()
    keys = [_shard_key(shard, config, contract) for shard in shards]
    with only_writer(folder):
        _refuse_other_store(folder, fingerprint_of(keys))
        sweep_unfinished(folder)
        found = [_finished(folder, number, key) for number, key in enumerate(keys)]
        missing = sum(len(s) for s, done in zip(shards, found, strict=True) if done is None)
        _require_space(folder, missing, shape)
        progress = progress or SilentProgress()
        progress.start("packing", len(sources), "scan", len(sources) - missing)
        records = []
        for number, (shard, key) in enumerate(zip(shards, keys, strict=True)):
            record = found[number]
            if record is None:
                record = _write_shard(folder, number, shard, key, config, workers, progress)
            records.append(record)
        progress.finish()
        _finish(folder, derivatives, config, contract, keys, records, frame)
        failures = _failures(records, frame)
        write_failures(failures, folder / "failures.csv")
    reused = sum(len(record.scans) for record in found if record is not None)
    total = sum(len(record.scans) for record in records)
    return PackResult(total - reused, reused, skipped, failures)


def _write_shard(
    folder: Path,
    number: int,
    sources: Sequence[Source],
    key: str,
    config: StoreConfig,
    workers: int,
    progress: Progress,
) -> Shard:
    paths = ShardPaths(folder, number)
    shape = model_shape(config.spacing_mm)
    scans: list[PackedScan] = []
    refused: list[RefusedScan] = []
    mask_block = (packed_mask_bytes(shape),)
    with (
        array_file(paths.images, shape, np.uint16, len(sources)) as images,
        array_file(paths.masks, mask_block, np.uint8, len(sources)) as masks,
    ):
        for source, wait in _in_order(sources, config.spacing_mm, workers):
            try:
                packed = wait()
            except ScanError as error:
                reason = error.what if not error.mend else f"{error.what}; {error.mend}"
                where = error.where or str(source.image_path)
                refused.append(
                    RefusedScan(
                        scan_id=source.scan_id, path=where, kind=error.kind, reason=reason
                    )
                )
            else:
                images.append(packed.image.stored)
                masks.append(packed.bits)
                scans.append(describe(source.scan_id, packed.image, packed.bits))
            progress.advance()
    shard = Shard(key=key, scans=tuple(scans), refused=tuple(refused))
    write_shard(paths.scales, shard)
    return shard


def _in_order(
    sources: Sequence[Source], spacing_mm: float, workers: int
) -> Iterator[tuple[Source, Callable[[], _Packed]]]:
    """Each source with a function that waits for its packed form; few are in memory at once."""
    pending: deque[tuple[Source, Future[_Packed]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="pack")
    try:
        for source in sources:
            pending.append((source, pool.submit(_pack_scan, source, spacing_mm)))
            if len(pending) > workers:
                done, future = pending.popleft()
                yield done, future.result
        for done, future in pending:
            yield done, future.result
    finally:
        pool.shutdown(cancel_futures=True)


def _pack_scan(source: Source, spacing_mm: float) -> _Packed:
    image = read_volume(source.image_path).volume
    mask = read_mask(source.mask_path)
    try:
        intensities, inside = to_model_order(image, mask, spacing_mm)
    except ScanError as error:
        raise ScanError(error.what, error.mend, source.image_path, error.kind) from None
    if not inside.any():
        raise ScanError(
            "the brain mask is empty in the model's box", "", source.mask_path, "empty-mask"
        )
    return _Packed(quantise(intensities), np.packbits(inside))


def _finish(
    folder: Path,
    derivatives: Path,
    config: StoreConfig,
    contract: str,
    keys: Sequence[str],
    records: Sequence[Shard],
    frame: pd.DataFrame,
) -> None:
    index = _store_index(records, frame)
    if index.empty:
        reason = next((r.reason for record in records for r in record.refused), "no scans")
        raise StoreError(f"none of the scans could be packed ({reason})", "", derivatives)
    index.to_parquet(folder / INDEX, index=False)
    write_bytes(folder / CONTRACT, (derivatives / CONTRACT).read_bytes())
    files = [folder / INDEX, folder / CONTRACT]
    for number in range(len(records)):
        files += ShardPaths(folder, number).all()
    manifest = Manifest(
        spacing_mm=config.spacing_mm,
        shape=model_shape(config.spacing_mm),
        scans=len(index),
        content=fingerprint_of(list(keys)),
        contract_fingerprint=contract,
        files=tuple(record_file(folder, path) for path in files),
    )
    write_manifest(folder, manifest)


def _store_index(records: Sequence[Shard], frame: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "scan_id": scan.scan_id,
            "shard": number,
            "shard_row": row,
            "store_offset": scan.offset,
            "store_step": scan.step,
            "clipped_voxels": scan.clipped_voxels,
            "store_sha256": scan.sha256,
        }
        for number, record in enumerate(records)
        for row, scan in enumerate(record.scans)
    ]
    if not rows:
        return pd.DataFrame()
    places = pd.DataFrame(rows)
    labels = frame.drop(columns=[c for c in places.columns[1:] if c in frame.columns])
    return labels.merge(places, on="scan_id", how="inner", validate="one_to_one").sort_values(
        ["shard", "shard_row"], ignore_index=True
    )


def _failures(records: Sequence[Shard], frame: pd.DataFrame) -> tuple[Failure, ...]:
    participants = dict(zip(frame["scan_id"], frame["participant_id"], strict=True))
    return tuple(
        Failure(scan.path, participants[scan.scan_id], "pack", scan.kind, scan.reason)
        for record in records
        for scan in record.refused
    )


def _shard_key(sources: Sequence[Source], config: StoreConfig, contract: str) -> str:
    return fingerprint_of([contract, config.spacing_mm, [source.identity for source in sources]])


def _finished(folder: Path, number: int, key: str) -> Shard | None:
    paths = ShardPaths(folder, number)
    record = read_shard(paths.scales)
    whole = record is not None and paths.images.is_file() and paths.masks.is_file()
    return record if record is not None and whole and record.key == key else None


def _refuse_foreign_folder(folder: Path, derivatives: Path) -> None:
    if folder.resolve() == derivatives.resolve():
        raise StoreError("is the derivatives folder itself", "choose another -o", folder)
    if folder.is_file():
        raise StoreError("is a file", "choose another -o", folder)
    if not folder.is_dir() or (folder / MANIFEST).is_file():
        return
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".unfinished-")}
    foreign = sorted(names - _OWN_NAMES)
    if foreign or (INDEX in names and SHARDS not in names):
        raise StoreError(
            f"is not empty and no store (holds {(foreign or [INDEX])[0]})", "choose another -o", folder
        )


def _refuse_other_store(folder: Path, content: str) -> None:
    if (folder / MANIFEST).exists() and read_manifest(folder).content != content:
        raise StoreError(
            "holds a finished store of other scans or settings",
            "choose another -o, or remove that store first",
            folder,
        )


def _require_space(folder: Path, scans: int, shape: tuple[int, int, int]) -> None:
    needed = scans * (int(np.prod(shape)) * 2 + packed_mask_bytes(shape))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"needs {needed / 1e9:.1f} GB for {scans} scans, the disk has {free / 1e9:.1f} GB free",
            "free some space, choose another -o or a coarser store.spacing_mm",
            folder,
        )
