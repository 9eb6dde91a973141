"""Fill one shard: read, cut, quantise and write its scans; one bad scan is noted and left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from neurofm.config.preparation import StoreConfig
from neurofm.errors import ScanError
from neurofm.files import fingerprint_of
from neurofm.preprocess.contract import Contract
from neurofm.progress import Progress
from neurofm.store.model_input import to_model_order
from neurofm.store.quantise import Quantised, quantise
from neurofm.store.selection import Source
from neurofm.store.shards import (
    PackedScan,
    RefusedScan,
    Shard,
    ShardPaths,
    array_file,
    damaged_scans,
    describe,
    packed_mask_bytes,
    read_shard,
    write_shard,
)
from neurofm.volumes.grids import Grid, model_shape
from neurofm.volumes.nifti import read_mask, read_volume
from neurofm.volumes.volume import Volume

_PLACE_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class ShardPlan:
    """The scans that shard `number` is to hold; `key` changes with any of them or a setting.

    Attributes:
        grid: where the scans lie, by their contract.
        spacing_mm: voxel size of the store.
    """

    number: int
    key: str
    sources: tuple[Source, ...]
    grid: Grid
    spacing_mm: float


@dataclass(frozen=True, eq=False)
class _Packed:
    image: Quantised
    bits: npt.NDArray[np.uint8]


def plan_shards(
    sources: Sequence[Source], config: StoreConfig, contract: Contract
) -> list[ShardPlan]:
    """Deal sources into shards in their order.

    Args:
        sources: the scans to pack.
        config: shard size and spacing.
        contract: their preprocessing.
    """
    grid = Grid(contract.grid_shape, np.array(contract.grid_affine))
    plans = []
    for number, first in enumerate(range(0, len(sources), config.scans_per_shard)):
        part = tuple(sources[first : first + config.scans_per_shard])
        identities = [source.identity for source in part]
        key = fingerprint_of([contract.fingerprint(), config.spacing_mm, identities])
        plans.append(ShardPlan(number, key, part, grid, config.spacing_mm))
    return plans


def finished_shard(folder: Path, plan: ShardPlan) -> Shard | None:
    """The shard an earlier pack made from the same sources, or None.

    Every byte is read, so that a damaged shard is packed again and never taken for whole.
    """
    paths = ShardPaths(folder, plan.number)
    record = read_shard(paths.scales)
    if record is None or record.key != plan.key:
        return None
    return record if damaged_scans(paths, record) == [] else None


def fill_shard(folder: Path, plan: ShardPlan, workers: int, progress: Progress) -> Shard:
    """Read the scans of a plan and write them as one shard.

    Scans that cannot be used are recorded in the shard and take no room in it.

    Raises:
        StoreError: the disk is full.
        ConfigError: the scans are coarser than the store is to be.
    """
    paths = ShardPaths(folder, plan.number)
    shape, count = model_shape(plan.spacing_mm), len(plan.sources)
    scans: list[PackedScan] = []
    refused: list[RefusedScan] = []
    with (
        array_file(paths.images, shape, np.uint16, count) as images,
        array_file(paths.masks, (packed_mask_bytes(shape),), np.uint8, count) as masks,
    ):
        for source, wait in _in_order(plan, workers):
            try:
                packed = wait()
            except ScanError as error:
                refused.append(_refusal(source, error))
            else:
                images.append(packed.image.stored)
                masks.append(packed.bits)
                scans.append(describe(source.scan_id, packed.image, packed.bits))
            progress.advance()
    shard = Shard(key=plan.key, scans=tuple(scans), refused=tuple(refused))
    write_shard(paths.scales, shard)
    return shard


def _in_order(plan: ShardPlan, workers: int) -> Iterator[tuple[Source, Callable[[], _Packed]]]:
    """Each source with a function that waits for its packed form; few are in memory at once."""
    pending: deque[tuple[Source, Future[_Packed]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="pack")
    try:
        for source in plan.sources:
            pending.append((source, pool.submit(_pack_scan, source, plan)))
            if len(pending) > workers:
                done, future = pending.popleft()
                yield done, future.result
        while pending:
            done, future = pending.popleft()
            yield done, future.result
    finally:
        pool.shutdown(cancel_futures=True)


def _pack_scan(source: Source, plan: ShardPlan) -> _Packed:
    image = read_volume(source.image_path).volume
    mask = read_mask(source.mask_path)
    _require_grid(image, plan.grid, source.image_path)
    _require_grid(mask, plan.grid, source.mask_path)
    try:
        intensities, inside = to_model_order(image, mask, plan.spacing_mm)
    except ScanError as error:
        raise ScanError(error.what, error.mend, source.image_path, error.kind) from None
    if not inside.any():
        raise ScanError(
            "the brain mask is empty in the model's box", "", source.mask_path, "empty-mask"
        )
    return _Packed(quantise(intensities), np.packbits(inside))


def _require_grid(volume: Volume, grid: Grid, path: Path) -> None:
    if volume.shape != grid.shape:
        what = f"has {_times(volume.shape)} voxels, its preprocessing gives {_times(grid.shape)}"
    elif not np.allclose(volume.affine, grid.affine, rtol=0, atol=_PLACE_TOLERANCE_MM):
        what = "lies elsewhere than the grid its preprocessing gives (the affines differ)"
    else:
        return
    raise ScanError(what, "preprocess the scan again, all in one way", path, kind="grid")


def _times(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _refusal(source: Source, error: ScanError) -> RefusedScan:
    return RefusedScan(
        scan_id=source.scan_id,
        path=error.where or str(source.image_path),
        kind=error.kind,
        reason=f"{error.what}; {error.mend}" if error.mend else error.what,
    )
