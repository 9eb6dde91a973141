"""Which names a folder of derivatives uses; a folder keeps to one layout."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from neurofm.errors import RunError
from neurofm.files import read_json, write_json, write_text
from neurofm.preprocess.contract import FILE_NAME
from neurofm.preprocess.dataset_files import describe_dataset
from neurofm.preprocess.naming import Layout, cohort_folder

INDEX_FILE = "index.parquet"  # the scans that have results
FAILURES_FILE = "failures.csv"  # those that have none
_LAYOUT_FILE = "layout.json"
_TABLE = "scans.csv"
_TABLE_COLUMNS = (
    "scan_id", "cohort", "participant_id", "session_id", "age_years", "sex", "diagnosis", "site",
    "split",
)  # fmt: skip


def claim_layout(folder: Path, layout: Layout) -> None:
    """Write down the layout of a folder before its first scan.

    Raises:
        RunError: the folder has scans in the other layout.
    """
    path = folder / _LAYOUT_FILE
    if path.is_file():
        kept = read_json(path)["layout"]
    else:
        kept = "bids" if (folder / FILE_NAME).is_file() else layout
    if kept != layout:
        raise RunError(
            f"holds scans in the layout '{kept}', not '{layout}'",
            f"say --layout {kept}, or choose another -o",
            folder,
        )
    write_json(path, {"layout": layout})


def describe_layout(folder: Path, layout: Layout, cohorts: list[str]) -> None:
    """Write what the layout wants beside the scans, before the first of them."""
    if layout == "bids":
        for cohort in cohorts:
            describe_dataset(folder / cohort_folder(cohort), cohort)


def write_table(folder: Path, layout: Layout, finished: pd.DataFrame) -> None:
    """Write `scans.csv` where the layout has one: the usable scans and their labels.

    Args:
        folder: the derivatives.
        layout: of the folder.
        finished: the rows of `index.parquet`; scans whose verdict is "fail" are left out.
    """
    if layout != "turboprep":
        return
    usable = finished[finished["verdict"] != "fail"]
    labels = [name for name in _TABLE_COLUMNS if name in usable.columns]
    table = pd.DataFrame(
        {"image_path": usable["image_path"], "mask_path": usable["brain_mask_path"]}
    ).join(usable[labels])
    write_text(folder / _TABLE, table.to_csv(index=False, lineterminator="\n"))
