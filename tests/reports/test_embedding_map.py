from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from neurofm.reports.embedding_map import embedding_map, principal_components


def test_the_components_are_those_of_the_correlation_matrix() -> None:
    stream = np.random.default_rng(0)
    features = stream.normal(size=(50, 6)) * [1, 10, 100, 1, 1, 1] + stream.normal(size=(50, 1))
    places, shares = principal_components(features)
    values, vectors = np.linalg.eigh(np.corrcoef(features.T))
    assert shares == pytest.approx(tuple(values[::-1][:2] / 6))
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    along = standard @ vectors[:, -1]
    assert abs(np.corrcoef(along, places[:, 0])[0, 1]) == pytest.approx(1)


def test_a_feature_that_never_varies_is_left_out() -> None:
    features = np.random.default_rng(0).normal(size=(20, 4))
    with_constant = np.column_stack([features, np.full(20, 3.0)])
    assert principal_components(with_constant)[0] == pytest.approx(
        principal_components(features)[0]
    )


def test_there_is_a_panel_for_everything_known_and_none_for_the_unknown() -> None:
    labels = pd.DataFrame(
        {"cohort": ["A", "B"] * 5, "age_years": [np.nan] * 10, "sex": ["F", None] * 5}
    )
    labels["diagnosis"], labels["lesion_ml"] = ["H", "AD"] * 5, np.arange(10.0)
    targets = ["sex", "diagnosis", "lesion_ml", "elsewhere"]
    panels = embedding_map(labels, np.random.default_rng(0).normal(size=(10, 5)), targets)
    assert [panel.title for panel in panels] == ["Cohort", "Sex", "Diagnosis", "lesion ml"]
    assert "unknown" in panels[1].svg
