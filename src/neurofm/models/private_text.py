"""What must not leave a site in words: paths, names of scans, names of participants."""

from __future__ import annotations

import re
from collections.abc import Iterator

from neurofm.errors import WeightsError
from neurofm.models.card import Card
from neurofm.models.overlap import hash_participants

_HASHES = {"participant_salt", "participant_hashes", "scan_hashes"}
_ADDRESS = re.compile(r"\bhttps?://\S+")
_PRIVATE = (
    ("a path", re.compile(r"(?:^|[\s'\"(=:,])(?:~\w*|\.{1,2})?/\w|\b[A-Za-z]:\\|\\\\\w")),
    ("the name of a scan", re.compile(r"\.(?:nii|dcm|mgz|mgh|img|hdr)\b", re.IGNORECASE)),
    ("a participant's id", re.compile(r"\bsub-\w")),
    ("a person's name as headers hold it", re.compile(r"\w\^\w")),
)
_SHORTEST_ID = 3  # shorter ones cannot be told from numbers in a sentence


def refuse_private_text(card: Card) -> None:
    """Refuse a card whose words tell a path, a scan's name, or a participant it was trained on.

    Every word is compared with the salted hashes of the participants of every cohort.

    Raises:
        WeightsError: names the field, not what stands in it.
    """
    refuse_private_words(card.model_dump(mode="json", exclude=_HASHES), card, "card.json")


def refuse_private_words(value: object, card: Card, where: str) -> None:
    """Refuse a text, or a JSON value with such a text or key in it, that tells of people or paths.

    Args:
        value: what is to be published.
        card: of the weights; it knows the hashes of their participants.
        where: the file it stands in.

    Raises:
        WeightsError: names the field, not what stands in it.
    """
    known = set(card.participant_hashes)
    for field, text in _texts(value):
        plain = _ADDRESS.sub("", text)
        found = [kind for kind, pattern in _PRIVATE if pattern.search(plain)]
        if not found and _names_a_participant(plain, card, known):
            found = ["a participant's id"]
        if found:
            place = f"'{field}' " if field else ""
            raise WeightsError(
                f"{place}holds {found[0]}, which must not be published",
                "say it in other words (a template by its name, a text by its option)",
                where,
            )


def _names_a_participant(text: str, card: Card, known: set[str]) -> bool:
    words = {word for word in re.findall(r"[\w.-]+", text) if len(word) >= _SHORTEST_ID}
    words |= {word.strip(".-") for word in words}
    keys = [f"{each.cohort}/{word}" for each in card.cohorts for word in words]
    return not known.isdisjoint(hash_participants(keys, card.participant_salt))


def _texts(value: object, field: str = "") -> Iterator[tuple[str, str]]:
    """Every text below a value with its place, e.g. "recipe.preprocess.template"."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield field or "a name", key
            yield from _texts(each, f"{field}.{key}" if field else key)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, field)
