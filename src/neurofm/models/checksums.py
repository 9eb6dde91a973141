"""The checksums of a bundle: every bit of its files, this list included, is as it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from neurofm.errors import WeightsError
from neurofm.files import sha256_of, write_text

CHECKSUMS_FILE = "checksums.json"
CHECKSUMS_FORMAT = 1
GOLDEN_FILE = "golden.json"
MODEL_CARD_FILE = "MODEL_CARD.md"
PARTS = (MODEL_CARD_FILE, "card.json", GOLDEN_FILE, "weights.safetensors")
_AGAIN = "copy or download the bundle again"


def write_checksums(folder: Path) -> str:
    """Seal a folder that holds all parts of a bundle; returns the digest that names them all."""
    sums = {name: sha256_of(folder / name) for name in PARTS}
    write_text(folder / CHECKSUMS_FILE, _sealed(sums))
    return _digest(sums)


def verify_checksums(folder: Path) -> None:
    """Refuse a bundle of which anything was changed; other folders of weights pass.

    Raises:
        WeightsError: a part is missing or has another SHA-256, the list itself was changed, or a
            newer neurofm wrote it.
    """
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        if (folder / GOLDEN_FILE).exists():
            raise WeightsError(f"is a bundle without its {CHECKSUMS_FILE}", _AGAIN, folder)
        return
    for name, wanted in _recorded_sums(path).items():
        part = folder / name
        if not part.is_file():
            raise WeightsError("is missing in its bundle", _AGAIN, part)
        if sha256_of(part) != wanted:
            raise WeightsError(
                f"is damaged: its SHA-256 is not that of {CHECKSUMS_FILE}", _AGAIN, part
            )


def bundle_digest(folder: Path) -> str:
    """The digest that names all parts of a bundle, once they are found right.

    Raises:
        WeightsError: it is no bundle, or anything of it was changed.
    """
    verify_checksums(folder)
    path = folder / CHECKSUMS_FILE
    if not path.is_file():
        raise WeightsError(
            f"is no bundle (no {CHECKSUMS_FILE})", "make one with: neurofm bundle", folder
        )
    return _digest(_recorded_sums(path))


def _recorded_sums(path: Path) -> dict[str, str]:
    text = path.read_bytes()
    damaged = WeightsError("is damaged: it is not as it was written", _AGAIN, path)
    try:
        record = json.loads(text)
        version, files = record["format_version"], record["files"]
        sums = {name: str(files[name]) for name in PARTS}
    except (ValueError, LookupError, TypeError, RecursionError):
        raise damaged from None
    if isinstance(version, int) and version > CHECKSUMS_FORMAT:
        raise WeightsError(
            f"format {version} is newer than this neurofm reads ({CHECKSUMS_FORMAT})",
            "upgrade: pip install -U neurofm",
            path,
        )
    if text != _sealed(sums).encode():
        raise damaged
    return sums


def _sealed(sums: Mapping[str, str]) -> str:
    """The whole text of the list, so that none of its bytes is free to change."""
    record = {"format_version": CHECKSUMS_FORMAT, "files": dict(sums), "digest": _digest(sums)}
    return json.dumps(record, indent=2, sort_keys=True) + "\n"


def _digest(sums: Mapping[str, str]) -> str:
    lines = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    return hashlib.sha256(lines.encode()).hexdigest()
