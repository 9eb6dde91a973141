"""Which preprocessed scans enter a store, and what tells one version of them from another."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.index import read_index
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError, StoreError


@dataclass(frozen=True)
class Source:
    """One preprocessed scan to pack."""

    scan_id: str
    image_path: Path
    mask_path: Path
    identity: str


def select_sources(
    derivatives: Path, config: StoreConfig
) -> tuple[list[Source], tuple[str, ...], pd.DataFrame]:
    """The scans of a derivatives folder that may enter a store, in the order of their ids.

    Returns:
        the sources; the ids left out for a "fail" verdict; the index rows of the sources.

    Raises:
        StoreError: the folder is no finished output of `neurofm preprocess`, or nothing is left.
        ConfigError: `config.include_failed` names a scan that is not there.
    """
    path = derivatives / "index.parquet"
    if not path.is_file():
        raise StoreError("has no index.parquet", "run neurofm preprocess first", derivatives)
    frame = read_index(path)
    _require_columns(frame, path)
    _require_known(config.include_failed, frame["scan_id"].tolist())
    failed = (frame["verdict"] == "fail") & ~frame["scan_id"].isin(config.include_failed)
    skipped = tuple(sorted(frame.loc[failed, "scan_id"]))
    frame = frame[~failed].sort_values("scan_id", ignore_index=True)
    if frame.empty:
        raise StoreError(
            f"has no scan to pack ({len(skipped)} failed their quality checks)",
            "look at the pictures; store.include_failed=[scan_id, ...] lets scans in",
            derivatives,
        )
    columns = ["scan_id", "sha256", "image_path", "brain_mask_path"]
    rows = frame[columns].itertuples(index=False, name=None)
    sources = [_source(derivatives, *map(str, row)) for row in rows]
    return sources, skipped, frame


def _source(derivatives: Path, scan_id: str, sha256: str, image: str, mask: str) -> Source:
    paths = derivatives / image, derivatives / mask
    sizes = [path.stat().st_size if path.is_file() else -1 for path in paths]
    identity = "|".join(str(part) for part in (scan_id, sha256, *sizes))
    return Source(scan_id, *paths, identity)


def _require_columns(frame: pd.DataFrame, path: Path) -> None:
    for column in ("image_path", "brain_mask_path", "verdict", "sha256"):
        if column not in frame.columns:
            raise StoreError(
                f"has no column '{column}'", "give the folder neurofm preprocess wrote", path
            )


def _require_known(named: tuple[str, ...], known: list[str]) -> None:
    for scan_id in named:
        if scan_id not in known:
            near = difflib.get_close_matches(scan_id, known, n=1)
            mend = f"did you mean '{near[0]}'?" if near else "see the index"
            raise ConfigError(f"no scan is called '{scan_id}'", mend, "store.include_failed")
