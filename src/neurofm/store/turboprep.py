"""From a list of TurboPrep's results to what a store is made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.listing import frame_of
from neurofm.cohorts.verification import Look, verify_scans
from neurofm.errors import StoreError, TableError
from neurofm.files import sha256_of
from neurofm.preprocess.turboprep import TurboPrepList, list_turboprep, turboprep_contract
from neurofm.progress import Progress
from neurofm.store.selection import Selection, Source


def select_turboprep(listed: TurboPrepList, progress: Progress) -> Selection:
    """Read the scans of a list once to verify them; those that cannot be used are failures.

    Args:
        listed: the list, and how its scans were registered.
        progress: told of every scan.

    Raises:
        TableError: the list cannot be meant, or one image stands in it twice.
        StoreError: none of its scans can be used.
    """
    listing = list_turboprep(listed)
    contract = turboprep_contract(listed.transform)
    verified = verify_scans(frame_of(listing.scans), Look(), progress)
    _require_distinct(verified.frame, listed.path)
    usable = verified.frame[verified.frame["problem"].isna()]
    if usable.empty:
        raise StoreError(f"none of its scans can be used ({verified.failures[0]})", "", listed.path)
    frame = usable.sort_values("scan_id", ignore_index=True).assign(contract=contract.fingerprint())
    rows = frame[["scan_id", "path", "mask_path", "sha256"]].itertuples(index=False, name=None)
    return Selection(
        origin=listed.path,
        contract=contract,
        sources=tuple(_source(*map(str, row)) for row in rows),
        frame=frame,
        listed=verified.frame,
        failures=verified.failures,
        notes=(*listing.notes, *verified.notes),
    )


def _source(scan_id: str, image: str, mask: str, sha256: str) -> Source:
    identity = f"{scan_id}|{sha256}|{sha256_of(Path(mask))}"
    return Source(scan_id, Path(image), Path(mask), identity)


def _require_distinct(frame: pd.DataFrame, where: Path) -> None:
    """Refuse a list in which one image is two scans: its participants cannot be told apart."""
    keys = participant_keys(frame)
    twins = frame["sha256"].notna() & frame["sha256"].duplicated(keep=False)
    if twins.any():
        first = frame.loc[twins, "sha256"].iloc[0]
        same = frame["sha256"] == first
        people = ", ".join(sorted(set(keys[same])))
        raise TableError(
            f"the same image stands in it {int(same.sum())} times ({people})",
            "keep one of the rows",
            where,
        )
