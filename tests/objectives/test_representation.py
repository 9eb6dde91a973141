"""Alignment, uniformity and effective rank on cases with known answers."""

from __future__ import annotations

import math

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
