"""The number that is explained: of heads and of embeddings, and of classes nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from neurofm.config.encoders import ResNetConfig
from neurofm.errors import ConfigError, WeightsError
from neurofm.inference.readout import (
    Network,
    answer_of,
    random_network,
    readout_of,
    require_class,
)
from neurofm.models.card import Card
from neurofm.models.head import HeadCard, build_head

TINY = ResNetConfig(widths=(4, 8, 8, 16))
AGE = HeadCard(target="age_years", kind="regression", mean=50.0, spread=10.0)
SEX = HeadCard(target="sex", kind="binary", classes=("F", "M"))
STAGE = HeadCard(target="diagnosis", kind="multiclass", classes=("H", "MCI", "AD"))
FEATURES = torch.linspace(-1, 2, 16)[None]


def card_of(head: HeadCard | None) -> Card:
    return Card(encoder=TINY, features=16, spacing_mm=6.0, head=head)


def network_of(head: HeadCard | None) -> Network:
    """Its "volumes" are the features themselves."""
    linear = build_head(16, head.outputs, 3).requires_grad_(False) if head else None
    return Network(nn.Identity(), linear)


def test_a_regressions_number_is_in_the_targets_unit() -> None:
    network, card = network_of(AGE), card_of(AGE)
    answer = answer_of(network, card, FEATURES)
    assert network.head is not None
    expected = 50 + 10 * float(network.head(FEATURES))
    assert answer.prediction == pytest.approx(expected)
    assert float(readout_of(network, card, FEATURES, None)(FEATURES)) == pytest.approx(expected)


@pytest.mark.parametrize("head", [SEX, STAGE], ids=["two", "three"])
def test_a_classs_number_is_its_log_odds(head: HeadCard) -> None:
    network, card = network_of(head), card_of(head)
    for name in head.classes:
        answer = answer_of(network, card, FEATURES, name)
        assert answer.class_name == name
        assert answer.probability is not None
        odds = torch.tensor(answer.probability / (1 - answer.probability)).log()
        found = float(readout_of(network, card, FEATURES, name)(FEATURES))
        assert found == pytest.approx(float(odds), rel=1e-4)
    likeliest = answer_of(network, card, FEATURES)
    assert likeliest.class_name == likeliest.prediction
    assert likeliest.probability == max(
        answer_of(network, card, FEATURES, name).probability or 0 for name in head.classes
    )


def test_without_a_head_the_share_of_the_own_embedding_is_read() -> None:
    readout = readout_of(network_of(None), card_of(None), FEATURES, None)
    assert float(readout(FEATURES)) == pytest.approx(1)
    assert float(readout(0.25 * FEATURES)) == pytest.approx(0.25)
    across = torch.zeros_like(FEATURES)
    across[0, 0], across[0, -1] = FEATURES[0, -1], -FEATURES[0, 0]
    assert float(readout(across)) == pytest.approx(0, abs=1e-6)
    nothing = torch.zeros_like(FEATURES)
    assert float(readout_of(network_of(None), card_of(None), nothing, None)(nothing)) == 0


def test_random_weights_are_told_by_their_seed_and_are_no_runs_start() -> None:
    from neurofm.models.encoder import build_encoder

    first, again, other = (random_network(card_of(AGE), seed) for seed in (1, 1, 2))
    weights = [network.encoder.state_dict()["conv1.weight"] for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], build_encoder(TINY, 1).state_dict()["conv1.weight"])
    assert first.head is not None
    assert not torch.equal(first.head.weight, build_head(16, 1, 1).weight)


def test_classes_that_cannot_be_meant_are_refused() -> None:
    here = Path("weights")
    require_class(None, card_of(None), here)
    require_class("AD", card_of(STAGE), here)
    with pytest.raises(WeightsError, match="have no head, so no class"):
        require_class("AD", card_of(None), here)
    with pytest.raises(ConfigError, match=r"--class: the head predicts a number, age_years"):
        require_class("AD", card_of(AGE), here)
    with pytest.raises(ConfigError, match=r"no class 'MCl'; did you mean 'MCI'"):
        require_class("MCl", card_of(STAGE), here)
    with pytest.raises(ConfigError, match=r"no class 'x'; one of F, M"):
        require_class("x", card_of(SEX), here)
