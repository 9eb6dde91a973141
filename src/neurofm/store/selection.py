"""Which preprocessed scans enter a store, and what tells one version of them from another."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import read_index
from neurofm.config.preparation import StoreConfig
from neurofm.errors import ConfigError, StoreError
from neurofm.preprocess.contract import Contract, read_contract
from neurofm.preprocess.layout import INDEX_FILE


@dataclass(frozen=True)
class Source:
    """One preprocessed scan to pack."""

    scan_id: str
    image_path: Path
    mask_path: Path
    identity: str


@dataclass(frozen=True, eq=False)
class Selection:
    """What a store is to be made of.

    Attributes:
        origin: the folder or list the scans come from.
        contract: the preprocessing they share.
        sources: the scans, in the order of their ids.
        frame: their index rows, in the same order.
        listed: the index rows of all scans, in any order, with those that are not sources.
        skipped: ids left out for a "fail" verdict.
        failures: scans that turned out unusable before packing.
        notes: what was odd but bearable, one line each.
    """

    origin: Path
    contract: Contract
    sources: tuple[Source, ...]
    frame: pd.DataFrame
    listed: pd.DataFrame
    skipped: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


def select_derivatives(derivatives: Path, config: StoreConfig) -> Selection:
    """The scans of a derivatives folder that may enter a store.

    Raises:
        StoreError: the folder is no finished output of `neurofm preprocess`, or nothing is left.
        ConfigError: `config.include_failed` names a scan that is not there.
        ContractError: the folder does not say how its scans were preprocessed.
    """
    path = derivatives / INDEX_FILE
    if not path.is_file():
        raise StoreError(f"has no {INDEX_FILE}", "run neurofm preprocess first", derivatives)
    listed = read_index(path)
    _require_columns(listed, path)
    _require_known(config.include_failed, listed["scan_id"].tolist())
    failed = (listed["verdict"] == "fail") & ~listed["scan_id"].isin(config.include_failed)
    skipped = tuple(sorted(listed.loc[failed, "scan_id"]))
    frame = listed[~failed].sort_values("scan_id", ignore_index=True)
    if frame.empty:
        raise StoreError(
            f"has no scan to pack ({len(skipped)} failed their quality checks)",
            "look at the pictures; store.include_failed=[scan_id, ...] lets scans in",
            derivatives,
        )
    columns = ["scan_id", "sha256", "image_path", "brain_mask_path"]
    rows = frame[columns].itertuples(index=False, name=None)
    sources = tuple(_source(derivatives, *map(str, row)) for row in rows)
    left_out = f"left out, failed quality checks: {', '.join(skipped)}"
    contract = read_contract(derivatives)
    notes = (left_out,) if skipped else ()
    return Selection(derivatives, contract, sources, frame, listed, skipped, notes=notes)


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
