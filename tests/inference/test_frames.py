"""From Python, weights are what they are on the command line: folders, references, checkpoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import neurofm
from neurofm.config.preparation import StoreConfig
from neurofm.errors import WeightsError
from neurofm.store.packing import pack


def test_weights_on_the_hub_are_pulled_and_the_commit_is_told(
    hub: Any, small_bundle: Path, fake: SimpleNamespace, tmp_path: Path
) -> None:
    from hub_stand_in import Repository  # type: ignore[import-not-found]

    hub.repositories["lab/brain"] = Repository()
    files = {path.name: path.read_bytes() for path in small_bundle.iterdir()}
    commit = hub.repositories["lab/brain"].commit(files)
    pack(fake.write(tmp_path / "derivatives", 2), tmp_path / "store", StoreConfig(spacing_mm=6.0))
    local = neurofm.embed(tmp_path / "store", small_bundle)
    pulled = neurofm.embed(tmp_path / "store", "hf://lab/brain")
    given, found = (np.stack(each["embedding"].to_list()) for each in (local, pulled))
    assert np.array_equal(given, found)
    assert pulled.attrs["notes"] == [f"hf://lab/brain at {commit}", *local.attrs["notes"]]
    with pytest.raises(WeightsError, match="have no head"):
        neurofm.predict(tmp_path / "store", "hf://lab/brain")


def test_a_checkpoint_is_imported_and_its_citation_and_terms_are_notes(
    medicalnet: Path, tmp_path: Path
) -> None:
    (tmp_path / "cut.nii.gz").write_bytes(b"cut")
    table = neurofm.embed(tmp_path / "cut.nii.gz", medicalnet, workers=0)
    assert table["reason"].notna().all()
    where, coverage, cite, terms, *_ = table.attrs["notes"]
    assert where.startswith(f"{medicalnet} as imported in ")
    assert coverage.startswith("medicalnet: ")
    assert coverage.endswith(" tensors loaded, 0 missing, 0 unexpected")
    assert cite.startswith("Cite: Chen S")
    assert terms.startswith("Terms: As published")
    with pytest.raises(WeightsError, match="have no head"):
        neurofm.predict(tmp_path / "cut.nii.gz", [str(medicalnet)])
