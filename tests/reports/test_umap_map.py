"""The map by UMAP: drawn where it is installed, else a note that says how to get it."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest

from neurofm.reports.maps import maps_of
from neurofm.reports.umap_map import umap_map, why_no_umap

_INSTALLED = importlib.util.find_spec("umap") is not None


def _scans(count: int) -> tuple[pd.DataFrame, np.ndarray]:
    labels = pd.DataFrame({"cohort": ["A", "B"] * (count // 2), "sex": ["F", "M"] * (count // 2)})
    features = np.random.default_rng(0).normal(size=(count, 6))
    features[::2] += 5
    return labels, features


def test_few_scans_have_the_reason_in_its_place() -> None:
    maps = maps_of(*_scans(10), [])
    assert len(maps.components) == 2
    assert maps.umap == ()
    assert maps.note == "A UMAP needs 30 scans."


def test_without_it_the_note_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurofm.reports.umap_map.importlib.util.find_spec", lambda _: None)
    assert umap_map(*_scans(40)) == ()
    assert "pip install 'neurofm[umap]'" in why_no_umap(40)


@pytest.mark.skipif(not _INSTALLED, reason="umap-learn is not installed: neurofm[umap]")
def test_with_it_there_is_a_panel_for_every_colouring_the_same_each_time() -> None:
    first, again = umap_map(*_scans(40)), umap_map(*_scans(40))
    assert [panel.title for panel in first] == ["Cohort", "Sex"]
    assert first == again
    assert "UMAP 1" in first[0].svg
    assert why_no_umap(40) == ""
