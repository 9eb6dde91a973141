"""Read every byte of a store and name what is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neurofm.errors import StoreError
from neurofm.files import sha256_of
from neurofm.progress import Progress, SilentProgress
from neurofm.store.manifest import MEND, SHARDS, FileRecord, read_manifest
from neurofm.store.shards import ShardPaths, read_shard, scan_checksum

_NAMED = 5


def verify_store(folder: Path, progress: Progress | None = None) -> None:
    """Compare every file of a store with its checksum.

    Raises:
        StoreError: names the damaged files, and the damaged scans inside a shard.
    """
    manifest = read_manifest(folder)
    progress = progress or SilentProgress()
    progress.start("verifying", len(manifest.files), "file")
    damaged = []
    for record in manifest.files:
        if not _is_sound(folder, record):
            damaged.append(record.path)
        progress.advance()
    progress.finish()
    if damaged:
        named = [f"{path}{_damaged_scans(folder, path)}" for path in damaged[:_NAMED]]
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        raise StoreError(f"damaged: {', '.join(named)}{more}", MEND, folder)


def _is_sound(folder: Path, record: FileRecord) -> bool:
    path = folder / record.path
    if not path.is_file() or path.stat().st_size != record.bytes:
        return False
    return sha256_of(path) == record.sha256


def _damaged_scans(folder: Path, path: str) -> str:
    """ " (scan, scan)" for a shard's array file; empty where single scans cannot be told."""
    if not path.startswith(f"{SHARDS}/") or not path.endswith(".npy"):
        return ""
    paths = ShardPaths(folder, int(Path(path).name[:5]))
    record = read_shard(paths.scales)
    try:
        images = np.load(paths.images, mmap_mode="r", allow_pickle=False)
        masks = np.load(paths.masks, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return " (not readable at all)"
    if record is None or len(images) != len(record.scans) or len(masks) != len(images):
        return " (not readable at all)"
    names = [
        scan.scan_id
        for row, scan in enumerate(record.scans)
        if scan_checksum(images[row], masks[row]) != scan.sha256
    ]
    return f" ({', '.join(names)})" if names else " (its header)"
