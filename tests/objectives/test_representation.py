"""Alignment, uniformity and effective rank on cases with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neurofm.objectives.representation import alignment, effective_rank, uniformity


def test_equal_views_are_aligned_and_opposite_ones_are_not() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert alignment(z, 5 * z) == pytest.approx(0)
    assert alignment(z, -z) == pytest.approx(4)


def test_uniformity_is_the_log_mean_potential_of_all_pairs() -> None:
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    unit = z / z.norm(dim=1, keepdim=True)
    potentials = [
        math.exp(-2 * float((unit[i] - unit[j]).square().sum()))
        for i in range(6)
        for j in range(i + 1, 6)
    ]
    assert uniformity(z) == pytest.approx(math.log(sum(potentials) / len(potentials)), rel=1e-5)


def test_uniformity_of_coinciding_points_is_zero() -> None:
    assert uniformity(torch.ones(4, 3)) == pytest.approx(0, abs=1e-6)


def test_effective_rank_counts_equally_used_directions() -> None:
    square = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
    assert effective_rank(square) == pytest.approx(2)
    assert effective_rank(square[:2]) == pytest.approx(1)


def test_effective_rank_of_collapsed_or_broken_features_is_zero() -> None:
    assert effective_rank(torch.ones(4, 3)) == 0
    assert effective_rank(torch.full((4, 3), float("nan"))) == 0


def test_alignment_is_the_mean_squared_distance_of_unit_vectors_pair_by_pair() -> None:
    stream = np.random.default_rng(1)
    first, second = stream.normal(size=(2, 7, 5))
    distances = [
        float(((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2).sum())
        for a, b in zip(first, second, strict=True)
    ]
    found = alignment(torch.tensor(first).float(), torch.tensor(second).float())
    assert found == pytest.approx(np.mean(distances), rel=1e-5)


@pytest.mark.parametrize("shape", [(16, 5), (6, 40)])
def test_effective_rank_is_the_entropy_of_the_spreads_along_the_principal_axes(
    shape: tuple[int, int],
) -> None:
    """Against the eigenvalues of the covariance: a spread is the root of one."""
    h = np.random.default_rng(2).normal(size=shape) * np.linspace(1, 3, shape[1]) + 7
    spreads = np.sqrt(np.clip(np.linalg.eigvalsh(np.cov(h.T)), 0, None))
    shares = [share for share in spreads / spreads.sum() if share > 1e-7]
    entropy = -sum(share * math.log(share) for share in shares)
    assert effective_rank(torch.tensor(h)) == pytest.approx(math.exp(entropy), rel=1e-4)


def test_a_cosine_of_095_between_all_projections_is_the_limit_of_the_alarm() -> None:
    """Equal parts along one axis and along each one's own."""
    common = math.sqrt(0.95)
    z = torch.cat([torch.full((9, 1), common), math.sqrt(0.05) * torch.eye(9)], dim=1)
    assert uniformity(z) == pytest.approx(-0.2, abs=1e-5)
