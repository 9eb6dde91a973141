"""What a results folder says of the weights it is about, from the card beside them."""

from __future__ import annotations

from neurofm.evaluation.given import GivenRun
from neurofm.evaluation.record import WeightsRecord


def weights_record(run: GivenRun, overlap: int | None) -> WeightsRecord:
    """The record of one set of weights.

    Args:
        run: the weights.
        overlap: participants judged whom they have seen; None where they do not tell.
    """
    card = run.card
    return WeightsRecord(
        model=run.model,
        weights_sha256=card.weights_sha256,
        recipe_fingerprint=card.recipe_fingerprint,
        encoder=card.encoder.kind,
        features=card.features,
        target=run.target,
        overlap=overlap,
        trained_on=card.cohorts,
        head_train_participants=card.head.train_participants if card.head else None,
        terms=card.terms,
        citation=card.citation,
    )
