"""What is said of one set of weights beside results: which they are, and whom they have seen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from neurofm.models.card import Card, CohortCount


class WeightsRecord(BaseModel):
    """One set of weights: the row of the table it belongs to, what it is, whom it has seen.

    `trained_on` counts the people of pre-training, `head_train_participants` those of the labels
    that a head has learnt; `overlap` counts evaluated people whom it has seen, None for unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weights_sha256: str
    recipe_fingerprint: str | None
    encoder: str
    features: int
    target: str | None
    overlap: int | None
    trained_on: tuple[CohortCount, ...] = ()
    head_train_participants: int | None = None
    terms: str = ""
    citation: str = ""


def weights_record(card: Card, model: str, overlap: int | None) -> WeightsRecord:
    """The record of one set of weights.

    Args:
        card: of the weights.
        model: name of their row.
        overlap: participants judged whom they have seen; None where they do not tell.
    """
    return WeightsRecord(
        model=model,
        weights_sha256=card.weights_sha256,
        recipe_fingerprint=card.recipe_fingerprint,
        encoder=card.encoder.kind,
        features=card.features,
        target=card.head.target if card.head else None,
        overlap=overlap,
        trained_on=card.cohorts,
        head_train_participants=card.head.train_participants if card.head else None,
        terms=card.terms,
        citation=card.citation,
    )
