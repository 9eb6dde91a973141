"""A split on file: who is on which side, with a hash, to be used again and never redrawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.leakage import refuse_overlap
from neurofm.cohorts.listing import named
from neurofm.cohorts.preset import Divided
from neurofm.cohorts.sides import UNUSED
from neurofm.config.knobs import Section
from neurofm.config.preparation import SplitConfig
from neurofm.config.recipe import check_section
from neurofm.errors import TableError
from neurofm.files import fingerprint_of, read_json, write_json

Side = Literal["pretrain", "held-out", "train", "held-out-train", "validation", "test", "unused"]


class FrozenSplit(Section):
    """Who is where.

    Attributes:
        format: of the file.
        participants: the side of each "cohort/participant_id".
        scans: the side of scans that are on another than their participant's, by scan_id.
        drawn_by: the recipe's section and seed that drew it.
    """

    format: Literal["neurofm split 1"] = "neurofm split 1"
    participants: Mapping[str, Side]
    scans: Mapping[str, Side] = {}
    drawn_by: Mapping[str, Any] = {}

    def fingerprint(self) -> str:
        """Sixteen hex digits that change with anybody's side."""
        return fingerprint_of([dict(self.participants), dict(self.scans)])


def freeze(divided: pd.DataFrame, drawn_by: Mapping[str, Any]) -> FrozenSplit:
    """The split of a divided index, with the recipe's values that drew it."""
    keys = participant_keys(divided)
    used = divided["split"].where(divided["split"] != UNUSED, None)
    participants = used.groupby(keys).first().fillna(UNUSED).sort_index()
    apart = divided[divided["split"] != keys.map(participants)]
    return FrozenSplit(
        participants={str(key): side for key, side in participants.items()},
        scans=dict(zip(apart["scan_id"], apart["split"], strict=True)),
        drawn_by=drawn_by,
    )


def drawn_by(config: SplitConfig, seed: int) -> dict[str, Any]:
    """The recipe's values that draw a split, as its file keeps them."""
    return {"seed": seed, **config.model_dump(mode="json")}


def frozen_path(index: Path) -> Path:
    """Where the split of an index stands: `split.parquet` has `split.split.json` beside it."""
    return index.with_suffix(".split.json")


def write_frozen(split: FrozenSplit, path: Path) -> None:
    """Write a split; one that is there already has to be the same.

    Raises:
        TableError: `path` holds another split, or no whole one.
    """
    if path.exists():
        if read_frozen(path).fingerprint() == split.fingerprint():
            return
        raise TableError(
            "holds another split", "apply it with --frozen, or choose another output", path
        )
    write_json(path, {"hash": split.fingerprint(), **split.model_dump(mode="json")})


def read_frozen(path: Path) -> FrozenSplit:
    """Read a split and see that nobody changed it.

    Raises:
        TableError: no such file, no split, or not the one its hash is of.
        ConfigError: a side or a key that neurofm does not know.
    """
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise TableError("no such split", "neurofm split writes one", path) from None
    except ValueError:
        value = None
    if not isinstance(value, dict) or "hash" not in value:
        raise TableError("is no split of neurofm", "neurofm split writes one", path)
    written = value.pop("hash")
    split = check_section(FrozenSplit, value, path)
    if split.fingerprint() != written:
        raise TableError(
            f"was changed after it was written (hash {split.fingerprint()}, not {written})",
            "take the file as it was", path,
        )  # fmt: skip
    return split


def apply_frozen(frame: pd.DataFrame, split: FrozenSplit) -> Divided:
    """Put everybody of an index where a frozen split has him; newcomers are "unused".

    Raises:
        LeakageError: copies of one file would be on two sides.
    """
    keys = participant_keys(frame)
    by_person = [split.participants.get(key, UNUSED) for key in keys]
    by_scan = map(split.scans.get, frame["scan_id"], by_person)
    sides = pd.Series(list(by_scan), index=frame.index, dtype=object)
    refuse_overlap(frame, sides)
    here, there = set(keys), set(split.participants)
    notes = []
    for people, what in (
        (sorted(here - there), "are not in the split: unused"),
        (sorted(there - here), "of the split are not in the index"),
    ):
        if people:
            notes.append(f"{len(people)} participants {what}: {named(people)}")
    return Divided(frame.assign(split=sides), tuple(notes))
