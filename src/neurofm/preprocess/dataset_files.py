"""What makes a cohort's folder BIDS derivatives: its description and what labels mean."""

from __future__ import annotations

from pathlib import Path

from neurofm.files import write_json, write_text
from neurofm.preprocess.naming import SPACE
from neurofm.versions import package_version

# `mapping` leads to the labels that BIDS gives to all (section "Common image-derived labels").
_TISSUES = (
    "index\tname\tabbreviation\tmapping\n"
    "0\tBackground\tBG\t0\n"
    "1\tCerebrospinal Fluid\tCSF\t3\n"
    "2\tGray Matter\tGM\t1\n"
    "3\tWhite Matter\tWM\t2\n"
)
# BIDS has no names yet for transforms and for pictures beside the images.
_NOT_IN_BIDS = "*_xfm.txt\n*_desc-check.png\n"


def describe_dataset(folder: Path, cohort: str) -> None:
    """Write the files at the top of a cohort's folder; they name no path and no person.

    They are `dataset_description.json`, the table of tissue labels and the type of mask, both of
    which hold for all images below (BIDS' inheritance principle), and `.bidsignore`.
    """
    version = package_version("neurofm") or "unknown"
    write_json(
        folder / "dataset_description.json",
        {
            "Name": f"neurofm: {cohort}",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "neurofm", "Version": version}],
        },
    )
    write_text(folder / f"space-{SPACE}_dseg.tsv", _TISSUES)
    write_json(folder / f"space-{SPACE}_dseg.json", {"Manual": False})
    write_json(folder / f"space-{SPACE}_desc-brain_mask.json", {"Type": "Brain"})
    write_text(folder / ".bidsignore", _NOT_IN_BIDS)
