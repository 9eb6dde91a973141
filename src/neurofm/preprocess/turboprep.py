"""TurboPrep's results as input: the contract they keep, and a list of them read as scans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from neurofm.cohorts.listing import Listing
from neurofm.cohorts.table import list_rows, list_strangers
from neurofm.cohorts.text_table import TextTable, read_text_table
from neurofm.errors import TableError
from neurofm.preprocess.contract import CONTRACT_VERSION, Contract, Step
from neurofm.volumes.grids import template_grid

Transform = Literal["rigid", "affine"]


@dataclass(frozen=True)
class TurboPrepList:
    """A table of TurboPrep's results and what the files themselves do not say.

    Attributes:
        path: CSV or TSV with the columns `image_path` (normalized.nii.gz), `mask_path`
            (mask.nii.gz), `participant_id` and any that `neurofm index` knows.
        transform: how TurboPrep registered: "rigid" (its option `-r r`) or "affine" (its default).
        one_scan_per_participant: take every row for a person of its own where the table has no
            `participant_id`.
    """

    path: Path
    transform: Transform
    one_scan_per_participant: bool = False


def turboprep_contract(transform: Transform) -> Contract:
    """What TurboPrep's results are: MNI152 2009c symmetric at 1 mm, 193x229x193 voxels.

    N4 with shrink factor 3, SynthStrip, ANTs SyNQuick linear, SynthSeg fast, WhiteStripe.
    """
    grid = template_grid(1.0)
    return Contract(
        version=CONTRACT_VERSION,
        steps=(
            Step(name="bias-field", method="n4", version=1, parameters={"shrink": 3}),
            Step(name="brain-extraction", method="synthstrip", version=1),
            Step(name="registration", method=f"ants-synquick-{transform}", version=1),
            Step(name="tissue", method="synthseg-fast", version=1),
            Step(name="normalisation", method="white-stripe-t1", version=1),
        ),
        template_sha256="mni152-nlin-2009c-sym",
        grid_shape=grid.shape,
        grid_affine=tuple((row[0], row[1], row[2], row[3]) for row in grid.affine.tolist()),
        normalisation="white-stripe-t1",
    )


def list_turboprep(listed: TurboPrepList) -> Listing:
    """The scans of a list, by the rules of other tables of scans; no image is opened.

    Raises:
        TableError: a column is missing or cannot be meant, or nobody says who was scanned.
    """
    table = read_text_table(listed.path)
    image = table.require(("image_path",))
    table.require_filled(table.require(("mask_path",)))
    # A column "path" beside it is the raw scan's; it stays as a label.
    names = {"path": "raw_path", image: "path"}
    table = replace(table, columns=tuple(names.get(name, name) for name in table.columns))
    if table.find(("participant_id",)):
        return list_rows(table)
    if not listed.one_scan_per_participant:
        raise TableError(
            "has no column 'participant_id'",
            "add it, or say --one-scan-per-participant where nobody was scanned twice",
            listed.path,
        )
    return list_strangers(table, _ids(table))


def _ids(table: TextTable) -> list[str]:
    """The name of each image's folder, which TurboPrep's users choose; or its whole path."""
    places = [Path(place) for place in table.require_filled(table.require(("path",)))]
    folders = [place.parent.name for place in places]
    if all(folders) and len(set(folders)) == len(folders):
        return folders
    return [place.as_posix().strip("/").replace("/", "-") for place in places]
