"""Read every byte of a store and name what is damaged."""

from __future__ import annotations

from pathlib import Path

from neurofm.errors import StoreError
from neurofm.files import sha256_of
from neurofm.progress import Progress, SilentProgress
from neurofm.store.manifest import MEND, SHARDS, FileRecord, read_manifest
from neurofm.store.shards import ShardPaths, damaged_scans, read_shard

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
    names = damaged_scans(paths, record) if record else None
    if names is None:
        return " (not readable at all)"
    return f" ({', '.join(names)})" if names else " (its header)"
