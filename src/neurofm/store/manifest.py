"""store.json: what a store holds, and the size and checksum of every file in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from neurofm.config.knobs import Section
from neurofm.errors import StoreError
from neurofm.files import fingerprint_of, sha256_of, write_json

MANIFEST = "store.json"
INDEX = "index.parquet"
CONTRACT = "preprocessing.json"
SHARDS = "shards"
MEND = "the command that packed it mends it from the derivatives"
_MANIFEST_MEND = "remove it and pack again: whole shards are kept"


class FileRecord(Section):
    """One file of a store: path relative to the store, size and SHA-256."""

    path: str
    bytes: int
    sha256: str


class Manifest(Section):
    """All of a store but the volumes themselves.

    Attributes:
        shape: (z, y, x) of every volume.
        scans: volumes in the store.
        content: fingerprint of the scans and settings the volumes were made from.
        contract_fingerprint: the preprocessing contract all volumes share.
        files: every other file of the store.
    """

    format_version: Literal[1] = 1
    spacing_mm: float
    shape: tuple[int, int, int]
    scans: int
    content: str
    contract_fingerprint: str
    files: tuple[FileRecord, ...]


def record_file(folder: Path, path: Path) -> FileRecord:
    """Size and checksum of a file as it stands on disk."""
    return FileRecord(
        path=path.relative_to(folder).as_posix(),
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write store.json, which makes a folder a finished store."""
    values = manifest.model_dump(mode="json")
    write_json(folder / MANIFEST, values | {"checksum": fingerprint_of(values)})


def read_manifest(folder: Path) -> Manifest:
    """Read store.json and check it against its own checksum.

    Raises:
        StoreError: it is missing, damaged or of a newer neurofm.
    """
    path = folder / MANIFEST
    try:
        values: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StoreError(
            "is not a finished store (no store.json)", "make one: neurofm pack", folder
        ) from None
    except (ValueError, OSError) as error:
        raise StoreError(f"is damaged ({error})", _MANIFEST_MEND, path) from None
    return _checked(values, path)


def _checked(values: Any, path: Path) -> Manifest:
    if not isinstance(values, dict) or "checksum" not in values:
        raise StoreError("is damaged (no checksum)", _MANIFEST_MEND, path)
    checksum = values.pop("checksum")
    if checksum != fingerprint_of(values):
        raise StoreError("is damaged: it does not match its own checksum", _MANIFEST_MEND, path)
    if values.get("format_version", 0) != 1:
        raise StoreError(
            f"has format version {values.get('format_version')}", "upgrade neurofm", path
        )
    try:
        return Manifest.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise StoreError(
            f"is damaged ({error.error_count()} bad values)", _MANIFEST_MEND, path
        ) from None
