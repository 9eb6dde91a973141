from __future__ import annotations

from neurofm.config.encoders import ResNetConfig
from neurofm.models.bundle_card import model_card_text
from neurofm.models.card import Card
from neurofm.models.head import HeadCard


def test_a_head_is_said_once_how_it_did_and_that_this_was_no_test() -> None:
    head = HeadCard(
        target="age_years", kind="regression", metric="mae", validation=4.56789,
        train_participants=30, validation_participants=9, validation_scores=(1.0, 2.0),
    )  # fmt: skip
    encoder = ResNetConfig(widths=(4, 8, 8, 16))
    card = Card(encoder=encoder, features=16, spacing_mm=1.0, head=head)
    text = model_card_text(card)
    assert text.count("9 validation participants") == 1
    assert "is 4.568: no test on unseen people" in text
    assert text.count("rest on 2 people") == 1
    without = model_card_text(card.model_copy(update={"head": None}))
    assert "validation participants" not in without
    assert "rest on" not in without
