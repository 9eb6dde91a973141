"""A bundle that may be published: right in every bit, and telling of nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from neurofm.errors import WeightsError
from neurofm.inference.golden import read_golden
from neurofm.models.bundle_card import model_card_text
from neurofm.models.card import CARD_FILE, Card
from neurofm.models.checksums import (
    CHECKSUMS_FILE,
    GOLDEN_FILE,
    MODEL_CARD_FILE,
    PARTS,
    bundle_digest,
)
from neurofm.models.hub import HubReference
from neurofm.models.hub_page import PAGE_FILE, hub_page
from neurofm.models.private_text import refuse_private_text, refuse_private_words
from neurofm.models.weights import WEIGHTS_FILE, load_weights


@dataclass(frozen=True, eq=False)
class Publication:
    """What is to be published, and where.

    Attributes:
        reference: the repository.
        folder: the bundle.
        card: of its weights.
        digest: names every byte of the bundle.
        page: text of the repository's page.
        message: of the commit.
        left_out: what else is in the folder, and stays there.
    """

    reference: HubReference
    folder: Path
    card: Card
    digest: str
    page: str
    message: str
    left_out: tuple[str, ...]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each published file, by its name."""
        names = (*PARTS, CHECKSUMS_FILE)
        parts = {name: (self.folder / name).stat().st_size for name in names}
        return parts | {PAGE_FILE: len(self.page.encode())}


def prepare_publication(folder: Path, reference: HubReference, message: str = "") -> Publication:
    """Check a bundle before anything of it leaves this machine; the hub is not asked.

    Args:
        folder: the bundle.
        reference: the repository that is to hold it.
        message: of the commit, which is as public; by default it names the digest.

    Raises:
        WeightsError: it is no bundle, or damaged; a text in it, or the message, tells a path, the
            name of a scan or a participant; or the reference names a revision.
    """
    if reference.revision is not None:
        raise WeightsError(
            "a bundle goes to the main branch", f"leave out @{reference.revision}", str(reference)
        )
    digest, card = bundle_digest(folder), load_weights(folder).card
    refuse_private_text(card)
    refuse_private_words(message, card, "--message")
    read_golden(folder)
    for name in (CARD_FILE, GOLDEN_FILE):
        value = _unambiguous_json(folder / name)
        hidden = {
            key: each for key, each in value.items() if not key.endswith(("_hashes", "_salt"))
        }
        refuse_private_words(hidden, card, name)
    model_card = (folder / MODEL_CARD_FILE).read_text(encoding="utf-8")
    if model_card != model_card_text(card):
        refuse_private_words(model_card, card, MODEL_CARD_FILE)
    refuse_private_words(_words_of_weights(folder / WEIGHTS_FILE), card, WEIGHTS_FILE)
    published = {*PARTS, CHECKSUMS_FILE}
    return Publication(
        reference=reference,
        folder=folder,
        card=card,
        digest=digest,
        page=hub_page(card, model_card, str(reference)),
        message=message or f"Bundle {digest}",
        left_out=tuple(sorted(p.name for p in folder.iterdir() if p.name not in published)),
    )


def _unambiguous_json(path: Path) -> dict[str, object]:
    """A JSON object that says each thing once, so that what is checked is all that is there."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise WeightsError("says something twice", "make the bundle again", path)
        return dict(pairs)

    value: dict[str, object] = json.loads(path.read_bytes(), object_pairs_hook=once)
    return value


def _words_of_weights(path: Path) -> list[str]:
    """Names of tensors, and the free text that a safetensors file can carry."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        return [*file.keys(), *metadata.keys(), *metadata.values()]
