"""Learning rates against torch's own schedulers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from neurofm.config.learning import TrainingConfig
from neurofm.training.schedules import learning_rate_at

_STEPS_AN_EPOCH = 7


def _rates(config: TrainingConfig) -> list[float]:
    steps = range(1, config.epochs * _STEPS_AN_EPOCH + 1)
    return [learning_rate_at(step, _STEPS_AN_EPOCH, config) for step in steps]


def test_the_papers_rate_is_the_same_number_in_every_step() -> None:
    assert set(_rates(TrainingConfig(epochs=4))) == {3e-4}


def test_warm_up_and_cosine_are_torchs() -> None:
    config = TrainingConfig(
        epochs=5, learning_rate=0.4, schedule="cosine", warmup_epochs=2, last_learning_rate=0.01
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    warmup, total = 2 * _STEPS_AN_EPOCH, 5 * _STEPS_AN_EPOCH
    expected = SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1),
            CosineAnnealingLR(optimizer, total - warmup, eta_min=0.01),
        ],
        milestones=[warmup],
    )
    for rate in _rates(config):
        assert rate == pytest.approx(expected.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        expected.step()


def test_a_warm_up_rises_in_equal_parts_to_the_constant_rate() -> None:
    rates = _rates(TrainingConfig(epochs=2, learning_rate=0.7, warmup_epochs=1))
    assert rates[:7] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert set(rates[7:]) == {0.7}


def test_a_cosine_ends_just_above_its_last_rate() -> None:
    rates = _rates(TrainingConfig(epochs=30, learning_rate=1.0, schedule="cosine"))
    assert rates[0] == 1.0
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert 0 < rates[-1] < 1e-3
