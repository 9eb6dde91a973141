"""The model card in words: what `card.json` says, for a reader, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from neurofm.models.card import Card

_NOT_SAID = "Not said."


def model_card_text(card: Card) -> str:
    """The text of `MODEL_CARD.md`; nothing in it is not in the card."""
    return "\n".join([*_opening(card), *_preprocessing(card), *_training(card), *_duties(card)])


def _opening(card: Card) -> Iterator[str]:
    yield "# Model card"
    yield f"\n{card.description or _NOT_SAID}\n"
    yield "```"
    yield "neurofm doctor --weights BUNDLE               # does this installation reproduce it?"
    yield "neurofm embed SCAN --weights BUNDLE -o e.parquet"
    yield "```\n"
    yield "| | |\n| --- | --- |"
    yield f"| network | {card.encoder.kind}, {card.features} features |"
    yield f"| voxels | {card.spacing_mm:g} mm |"
    yield f"| SHA-256 of the weights | `{card.weights_sha256}` |"
    yield f"| recipe | {_fingerprint(card.recipe_fingerprint)} |"
    yield f"| preprocessing contract | {_fingerprint(card.contract_fingerprint)} |"
    yield f"| made with neurofm | {card.software.get('neurofm', 'not said')} |"
    if card.initialised:
        yield f"| left at their random start | {len(card.initialised)} tensors |"


def _preprocessing(card: Card) -> Iterator[str]:
    yield "\n## Preprocessing\n"
    steps = (card.contract or {}).get("steps")
    if not isinstance(steps, list):
        yield _NOT_SAID
        return
    yield "| step | method | version |\n| --- | --- | --- |"
    for step in steps:
        if isinstance(step, dict):
            yield f"| {step.get('name')} | {step.get('method')} | {step.get('version')} |"


def _training(card: Card) -> Iterator[str]:
    yield "\n## Trained on\n"
    if card.cohorts:
        yield "| cohort | participants | scans |\n| --- | --- | --- |"
        for each in card.cohorts:
            yield f"| {each.cohort} | {each.participants} | {each.scans} |"
    else:
        yield _NOT_SAID
    head = card.head
    if head is None:
        return
    yield "\n## Predicts\n"
    yield f"`{head.target}` ({head.kind}{_classes(head.classes)}), trained on "
    yield f"{head.train_participants} participants."
    if head.validation is not None:
        yield f"On {head.validation_participants} validation participants, which also chose the "
        yield f"epoch, its {head.metric} is {head.validation:.4g}: no test on unseen people."
    if head.validation_scores:
        yield f"Intervals of `neurofm predict` rest on {len(head.validation_scores)} of them."


def _duties(card: Card) -> Iterator[str]:
    for title, text in (
        ("Intended use", card.intended_use),
        ("Known limits", card.limits),
        ("Licence and terms", card.terms),
        ("Citation", card.citation),
        ("Source", card.source),
    ):
        yield f"\n## {title}\n\n{text or _NOT_SAID}"
    yield ""


def _classes(classes: tuple[str, ...]) -> str:
    return f": {', '.join(classes)}" if classes else ""


def _fingerprint(value: str | None) -> str:
    return f"`{value}`" if value else "not said"
