"""Embeddings behave as a step of scikit-learn."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from neurofm import EmbeddingTransformer, load_encoder
from neurofm.config.encoders import ResNetConfig
from neurofm.errors import ConfigError, ScanError, WeightsError
from neurofm.models.card import Card
from neurofm.models.encoder import build_encoder
from neurofm.models.weights import save_weights

TINY = ResNetConfig(widths=(4, 8, 8, 16))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    state = build_encoder(TINY, seed=1).state_dict()
    tensors = {f"encoder.{name}": tensor for name, tensor in state.items()}
    save_weights(tmp_path / "w", tensors, Card(encoder=TINY, features=16, spacing_mm=6.0))
    return tmp_path / "w"


def volumes(count: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 25, 32, 32)).astype(np.float32)


def test_volumes_become_what_the_encoder_says_with_or_without_a_channel(weights: Path) -> None:
    given = volumes(3)
    with torch.inference_mode():
        expected = load_encoder(weights)(torch.from_numpy(given[:, None])).numpy()
    step = EmbeddingTransformer(weights)
    assert step.fit_transform(given) == pytest.approx(expected, rel=1e-5)
    assert step.transform(given[:, None]) == pytest.approx(expected, rel=1e-5)
    assert step.transform(given.astype(np.float64)).dtype == np.float32
    assert step.transform(given[:0]).shape == (0, 16)


def test_it_works_in_pipelines_cross_validation_and_searches(weights: Path) -> None:
    given, labels = volumes(16), np.arange(16) % 2
    given[labels == 1] *= 2
    line = make_pipeline(EmbeddingTransformer(weights), LogisticRegression())
    assert cross_val_score(line, given, labels, cv=4).mean() > 0.9
    search = GridSearchCV(line, {"logisticregression__C": [0.1, 1.0]}, cv=2)
    assert search.fit(given, labels).predict(given).shape == (16,)


def test_weights_on_the_hub_and_checkpoints_are_located_first(
    hub: Any, small_bundle: Path, medicalnet: Path
) -> None:
    from hub_stand_in import Repository  # type: ignore[import-not-found]

    hub.repositories["lab/brain"] = Repository()
    files = {path.name: path.read_bytes() for path in small_bundle.iterdir()}
    hub.repositories["lab/brain"].commit(files)
    pulled, local = (EmbeddingTransformer(each) for each in ("hf://lab/brain", small_bundle))
    assert np.array_equal(pulled.fit_transform(volumes(2)), local.fit_transform(volumes(2)))
    assert pulled.weights == "hf://lab/brain"
    assert EmbeddingTransformer(medicalnet).fit([]).n_features_out_ == 8


def test_it_keeps_scikit_learns_habits(weights: Path) -> None:
    step = EmbeddingTransformer(weights, workers=3)
    copy = clone(step)
    assert copy.get_params() == step.get_params()
    assert copy.get_params()["workers"] == 3
    assert repr(step).startswith("EmbeddingTransformer(")
    assert step.set_params(workers=2) is step
    assert step.fit([]) is step
    assert step.n_features_out_ == 16
    check_is_fitted(copy)
    again = pickle.loads(pickle.dumps(step))
    assert (again.transform(volumes(2)) == step.transform(volumes(2))).all()
    names = step.get_feature_names_out()
    assert names.tolist() == [f"e{number:04d}" for number in range(16)]
    framed = step.set_output(transform="pandas").transform(volumes(2))
    assert isinstance(framed, pd.DataFrame)
    assert framed.columns.tolist() == names.tolist()


def test_nothing_is_checked_before_it_is_needed_and_then_in_one_line(weights: Path) -> None:
    absent = EmbeddingTransformer(weights / "absent")
    with pytest.raises(WeightsError, match="holds no weights"):
        absent.fit([])
    step = EmbeddingTransformer(weights)
    for wrong in (np.zeros((3, 4)), volumes(2)[:, 1:], [1, 2], [[None], ["a"]], [["a", "b"]]):
        with pytest.raises(ConfigError, match="neither paths nor volumes"):
            step.transform(wrong)
    bad = volumes(3)
    bad[1, 0, 0, 0] = np.nan
    with pytest.raises(ScanError, match=r"volume 1 \(holds NaN or Inf\)"):
        step.transform(bad)
