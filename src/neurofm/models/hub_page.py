"""The page of a model on the hub: its model card, headed by what the hub sorts models by."""

from __future__ import annotations

import re

import yaml

from neurofm.models.card import Card

PAGE_FILE = "README.md"

# The hub's names of licences, by their letters and numbers.
_LICENCES = {
    re.sub(r"[^a-z0-9]", "", name): name
    for name in (
        "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
        "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-4.0", "openrail",
    )
}  # fmt: skip
_TAGS = ("neurofm", "mri", "brain", "neuroimaging", "medical", "3d")


def hub_page(card: Card, model_card: str, reference: str) -> str:
    """The text of a repository's `README.md`.

    Args:
        card: of the weights.
        model_card: the text of `MODEL_CARD.md`.
        reference: of the repository, which takes the place of BUNDLE in the model card's commands.
    """
    head: dict[str, object] = {"library_name": "neurofm", "tags": [*_TAGS, card.encoder.kind]}
    if card.head is None:
        head["pipeline_tag"] = "image-feature-extraction"
    if card.terms:
        head["license"] = licence_name(card.terms)
    lines = yaml.safe_dump(head, sort_keys=True, default_flow_style=False)
    return f"---\n{lines}---\n\n{model_card.replace('--weights BUNDLE', f'--weights {reference}')}"


def licence_name(terms: str) -> str:
    """The hub's name of a licence, or "other" for terms that are none it knows."""
    return _LICENCES.get(re.sub(r"[^a-z0-9]", "", terms.lower()), "other")
