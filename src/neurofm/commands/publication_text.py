"""What is about to be published, for the eyes of whoever publishes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neurofm.commands.console import out

if TYPE_CHECKING:
    from neurofm.inference.publication import Publication
    from neurofm.models.card import Card


def print_publication(publication: Publication) -> None:
    """Print the files with their sizes, what the card tells, and what stays behind."""
    for line in _lines(publication):
        out.print(line, markup=False, soft_wrap=True)


def _lines(publication: Publication) -> Iterator[str]:
    yield f"To {publication.reference}:"
    for name, size in publication.sizes.items():
        yield f"  {name:<22}{size / 1e6:>10.3f} MB"
    yield f"SHA-256 over all parts: {publication.digest}"
    yield f"Message: {publication.message}"
    yield from _told(publication.card)
    if publication.left_out:
        yield f"Stays here: {', '.join(publication.left_out)}"


def _told(card: Card) -> Iterator[str]:
    for title, text in (
        ("Description", card.description),
        ("Intended use", card.intended_use),
        ("Limits", card.limits),
        ("Licence", card.terms),
        ("Citation", card.citation),
        ("Source", card.source),
    ):
        yield f"{title}: {text or 'not said'}"
    for count in card.cohorts:
        yield f"Trained on: {count.cohort}, {count.participants} participants, {count.scans} scans"
    yield (
        f"Salted hashes: {len(card.participant_hashes)} of participants, "
        f"{len(card.scan_hashes)} of scans"
    )
