"""Pack preprocessed scans into a store: whole shards only, so an interrupted pack goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.cohorts.index import participant_keys
from neurofm.config.preparation import StoreConfig
from neurofm.errors import StoreError
from neurofm.files import atomic_path, fingerprint_of, only_writer, sweep_unfinished
from neurofm.preprocess.contract import Contract, write_contract
from neurofm.preprocess.turboprep import TurboPrepList
from neurofm.progress import Progress, SilentProgress
from neurofm.store.destination import refuse_foreign_folder, refuse_other_store, require_space
from neurofm.store.filling import ShardPlan, fill_shard, finished_shard, plan_shards
from neurofm.store.manifest import CONTRACT, INDEX, SHARDS, Manifest, record_file, write_manifest
from neurofm.store.selection import Selection, select_derivatives
from neurofm.store.shards import Shard, ShardPaths
from neurofm.store.turboprep import select_turboprep
from neurofm.volumes.grids import model_shape


@dataclass(frozen=True, eq=False)
class PackResult:
    """What packing did.

    Attributes:
        packed: scans written now.
        reused: scans an earlier, interrupted or equal pack had written.
        skipped: ids of scans left out because their quality verdict is "fail".
        failures: scans that could not be packed.
        notes: what was odd but bearable, one line each.
    """

    packed: int
    reused: int
    skipped: tuple[str, ...]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...] = ()


def pack(
    source: Path | TurboPrepList,
    folder: Path,
    config: StoreConfig,
    progress: Progress | None = None,
    workers: int = 1,
) -> PackResult:
    """Pack preprocessed scans into a store that models read.

    Scans stand in the order of their ids. The same command continues an interrupted pack with its
    finished shards, packs damaged ones again, and refreshes the labels of a finished store. Scans
    with a quality verdict of "fail" stay out unless `config.include_failed` names them.

    Args:
        source: folder of `neurofm preprocess`, or a list of scans that TurboPrep prepared.
        folder: the store; missing, empty, or a store of the same scans and settings.
        config: spacing, shard size, failed scans to let in.
        progress: told about every scan.
        workers: threads that read and quantise; the result does not depend on it.

    Raises:
        StoreError: the folder holds something else, the disk is too small, or no scan is usable.
        ConfigError: the spacing does not fit, or a scan to let in does not exist.
        TableError: the list cannot be meant.
        RunError: another process is writing to the folder.
    """
    if isinstance(source, TurboPrepList):
        refuse_foreign_folder(folder, source.path)
        selection = select_turboprep(source, progress or SilentProgress())
    else:
        refuse_foreign_folder(folder, source)
        selection = select_derivatives(source, config)
    return pack_selection(selection, folder, config, progress, workers)


def pack_selection(
    selection: Selection,
    folder: Path,
    config: StoreConfig,
    progress: Progress | None = None,
    workers: int = 1,
) -> PackResult:
    """Pack scans that were selected before; arguments and errors as of `pack`."""
    plans = plan_shards(selection.sources, config, selection.contract)
    with only_writer(folder):
        refuse_other_store(folder, _content(plans))
        sweep_unfinished(folder)
        reused = {plan.number: finished_shard(folder, plan) for plan in plans}
        shards = _fill_missing(folder, plans, reused, workers, progress or SilentProgress())
        index = _store_index(shards, selection.frame)
        failures = selection.failures + _failures(shards, selection.frame)
        write_failures(failures, folder / "failures.csv")
        if index.empty:
            raise StoreError(
                f"none of the scans could be packed ({failures[0].reason})", "", selection.origin
            )
        _finish(folder, selection.contract, config, plans, index)
    old = sum(len(shard.scans) for shard in reused.values() if shard is not None)
    return PackResult(len(index) - old, old, selection.skipped, failures, selection.notes)


def _fill_missing(
    folder: Path,
    plans: Sequence[ShardPlan],
    reused: dict[int, Shard | None],
    workers: int,
    progress: Progress,
) -> list[Shard]:
    total = sum(len(plan.sources) for plan in plans)
    missing = sum(len(plan.sources) for plan in plans if reused[plan.number] is None)
    require_space(folder, missing, model_shape(plans[0].spacing_mm))
    progress.start("packing", total, "scan", total - missing)
    shards = [reused[plan.number] or fill_shard(folder, plan, workers, progress) for plan in plans]
    progress.finish()
    return shards


def _finish(
    folder: Path,
    contract: Contract,
    config: StoreConfig,
    plans: Sequence[ShardPlan],
    index: pd.DataFrame,
) -> None:
    with atomic_path(folder / INDEX) as temporary:
        index.to_parquet(temporary, index=False)
    write_contract(folder, contract)
    files = [folder / INDEX, folder / CONTRACT]
    files += [path for plan in plans for path in ShardPaths(folder, plan.number).all()]
    for stray in set((folder / SHARDS).iterdir()) - set(files):
        stray.unlink()  # of an unfinished pack of more scans
    manifest = Manifest(
        spacing_mm=config.spacing_mm,
        shape=model_shape(config.spacing_mm),
        scans=len(index),
        content=_content(plans),
        contract_fingerprint=contract.fingerprint(),
        files=tuple(record_file(folder, path) for path in files),
    )
    write_manifest(folder, manifest)


def _content(plans: Sequence[ShardPlan]) -> str:
    return fingerprint_of([plan.key for plan in plans])


def _store_index(shards: Sequence[Shard], frame: pd.DataFrame) -> pd.DataFrame:
    """The derivatives' rows in the order of the volumes, with place, scale and checksum."""
    places = pd.DataFrame(
        [
            {
                "scan_id": scan.scan_id,
                "shard": number,
                "shard_row": row,
                "store_offset": scan.offset,
                "store_step": scan.step,
                "clipped_voxels": scan.clipped_voxels,
                "store_sha256": scan.sha256,
            }
            for number, shard in enumerate(shards)
            for row, scan in enumerate(shard.scans)
        ]
    )
    if places.empty:
        return places
    labels = frame[[column for column in frame if column not in places.columns[1:]]]
    index = labels.merge(places, on="scan_id", how="inner", validate="one_to_one")
    return index.sort_values(["shard", "shard_row"], ignore_index=True)


def _failures(shards: Sequence[Shard], frame: pd.DataFrame) -> tuple[Failure, ...]:
    participants = dict(zip(frame["scan_id"], participant_keys(frame), strict=True))
    return tuple(
        Failure(scan.path, str(participants[scan.scan_id]), "pack", scan.kind, scan.reason)
        for shard in shards
        for scan in shard.refused
    )
