"""How unusual a scan is, among those a model was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.covariance import ledoit_wolf

from neurofm.config.encoders import ResNetConfig
from neurofm.models.card import Card
from neurofm.models.population import (
    Population,
    fit_population,
    judged_by,
    population_in,
    population_tensors,
)
from neurofm.models.weights import load_weights, save_weights


def _fit(rows: np.ndarray) -> Population:
    population = fit_population(rows)
    assert population is not None
    return population


def _people(stream: np.random.Generator, count: int, features: int) -> np.ndarray:
    """Positive, skewed and correlated, as features after a ReLU and an average are."""
    few = stream.gamma(2.0, size=(count, 8)) @ np.random.default_rng(1).uniform(size=(8, features))
    return few + 0.3 * stream.exponential(size=(count, features))


@pytest.mark.parametrize(("people", "features"), [(200, 12), (60, 40), (40, 100)])
def test_the_spread_is_that_of_scikit_learn(people: int, features: int) -> None:
    rows = _people(np.random.default_rng(0), people, features)
    population = _fit(rows)
    covariance, _ = ledoit_wolf(rows)
    assert np.linalg.inv(population.whitening @ population.whitening) == pytest.approx(
        covariance, rel=1e-6, abs=1e-9
    )
    assert population.centre == pytest.approx(rows.mean(axis=0))


@pytest.mark.parametrize(("people", "features"), [(50, 5), (30, 40)])
def test_each_distance_is_from_the_others_alone(people: int, features: int) -> None:
    """Against the slow way: mean and covariance without each, the shrinkage of all."""
    rows = _people(np.random.default_rng(2), people, features)
    shrinkage = ledoit_wolf(rows)[1]
    plain = np.cov(rows.T, bias=True)
    ball = shrinkage * np.trace(plain) / features * np.eye(features)
    slow = []
    for one in range(people):
        others = np.delete(rows, one, axis=0)
        covariance = (1 - shrinkage) * np.cov(others.T, bias=True) + ball
        apart = rows[one] - others.mean(axis=0)
        slow.append(np.sqrt(apart @ np.linalg.solve(covariance, apart)))
    assert _fit(rows).distances == pytest.approx(np.sort(slow), rel=1e-8)


@pytest.mark.parametrize(("people", "features"), [(400, 16), (150, 128), (100, 256)])
def test_percentiles_of_unseen_people_are_uniform(people: int, features: int) -> None:
    """Also with fewer people than features; 20 training parts, 50 new people each."""
    stream, found = np.random.default_rng(3), []
    for _ in range(20):
        population = _fit(_people(stream, people, features))
        new = population.distances_of(_people(stream, 50, features))
        found.append(population.percentiles_of(new))
    percentiles = np.concatenate(found)
    assert np.mean(percentiles) == pytest.approx(50, abs=3)
    assert kstest(percentiles / 100, "uniform").statistic < 0.06
    assert np.mean(percentiles > 95) == pytest.approx(0.05, abs=0.02)


def test_what_is_unlike_training_is_beyond_the_99th_percentile() -> None:
    stream = np.random.default_rng(4)
    population, new = _fit(_people(stream, 150, 512)), _people(stream, 5, 512)
    for other in (stream.normal(size=(5, 512)), new + stream.normal(size=new.shape), new[:, ::-1]):
        assert (population.percentiles_of(population.distances_of(other)) > 99).all()


def test_a_scan_without_embedding_has_no_distance() -> None:
    population = _fit(_people(np.random.default_rng(0), 30, 4))
    distances = population.distances_of(np.array([[np.nan] * 4, [0.0] * 4]))
    assert np.isnan(distances).tolist() == [True, False]
    assert np.isnan(population.percentiles_of(distances)).tolist() == [True, False]


def test_people_who_were_not_learnt_from_are_the_measure_where_they_are_enough() -> None:
    """Learning has moved the training people apart; new ones lie where the unlearnt do."""
    stream = np.random.default_rng(5)
    population = _fit(1.5 * _people(stream, 80, 16))
    judged = judged_by(population, _people(stream, 200, 16))
    assert judged is not None
    new = judged.percentiles_of(judged.distances_of(_people(stream, 200, 16)))
    assert np.mean(new) == pytest.approx(50, abs=6)
    assert kstest(new / 100, "uniform").statistic < 0.15
    assert judged_by(population, _people(stream, 19, 16)) is population
    assert judged_by(None, _people(stream, 40, 16)) is None


def test_few_people_and_embeddings_that_are_all_one_leave_no_population() -> None:
    people = _people(np.random.default_rng(0), 30, 4)
    assert fit_population(people[:19]) is None
    assert fit_population(np.tile(people[:1], (30, 1))) is None
    people[:11] = np.nan
    assert fit_population(people) is None
    assert population_tensors(None) == {}


def test_a_feature_that_never_changes_does_no_harm() -> None:
    people = _people(np.random.default_rng(0), 60, 5)
    people[:, 2] = 0.0
    population = _fit(people)
    assert np.isfinite(population.distances).all()
    alive = people[:1] + np.eye(5)[2] * 3
    assert population.percentiles_of(population.distances_of(alive))[0] > 95


def test_it_travels_with_the_weights(tmp_path: Path) -> None:
    people = _people(np.random.default_rng(0), 40, 16)
    population = _fit(people)
    card = Card(encoder=ResNetConfig(widths=(4, 8, 8, 16)), features=16, spacing_mm=6.0)
    some = {"encoder.some": torch.ones(3)}
    save_weights(tmp_path / "with", {**some, **population_tensors(population)}, card)
    save_weights(tmp_path / "without", some, card)
    loaded = population_in(load_weights(tmp_path / "with").state)
    assert loaded is not None
    assert loaded.distances_of(people) == pytest.approx(population.distances_of(people), rel=1e-4)
    assert loaded.distances == pytest.approx(population.distances, rel=1e-6)
    assert population_in(load_weights(tmp_path / "without").state) is None
    assert population_in({}) is None
