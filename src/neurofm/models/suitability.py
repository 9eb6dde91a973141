"""Whether weights and scans go together: prepared alike, and nobody seen who must not be."""

from __future__ import annotations

import pandas as pd

from neurofm.cohorts.sides import KEPT_FROM_PRETRAINING
from neurofm.config.preparation import PreprocessConfig
from neurofm.config.recipe import check_section
from neurofm.errors import ContractError, LeakageError
from neurofm.models.card import Card
from neurofm.models.overlap import overlap
from neurofm.preprocess.contract import Contract, contract_of, difference_of, require_same
from neurofm.store.reader import Store


def check_contract(store: Store, card: Card, allow_other: bool) -> tuple[str, ...]:
    """See that a store was prepared as the weights' own scans were; notes where it was not.

    Raises:
        ContractError: another spacing, or other preprocessing and that is not allowed.
    """
    if abs(card.spacing_mm - store.spacing_mm) > 1e-6:
        raise ContractError(
            f"the store is at {store.spacing_mm:g} mm, the weights were made at "
            f"{card.spacing_mm:g} mm",
            f"pack with store.spacing_mm={card.spacing_mm:g}",
        )
    if card.contract is None:
        return ("The weights do not say how their scans were preprocessed; it was not compared.",)
    return require_prepared_for(card, store.contract, allow_other)


def require_prepared_for(card: Card, given: Contract, allow_other: bool) -> tuple[str, ...]:
    """Refuse scans that were not prepared as a card says, or note what differs.

    Neurofm's default steps may stand in where the card takes them: the weights' makers used other
    tools for the same steps on the same grid.

    Raises:
        ContractError: names the first thing that differs.
    """
    if card.contract is None:
        return ()
    wanted = check_section(Contract, card.contract, "card.json")
    if not stands_in(card, given):
        return require_same(given, wanted, allow_other)
    return (
        "The scans were prepared by neurofm's steps in place of the weights' makers' own tools "
        f"({difference_of(given, wanted)}); embeddings may differ from theirs.",
    )


def stands_in(card: Card, given: Contract) -> bool:
    """Whether a contract is neurofm's default, and the card takes that in place of its own."""
    return card.takes_neurofm_steps and given == contract_of(PreprocessConfig())


def origin_of(card: Card) -> tuple[str, ...]:
    """What a user of weights that others made has to know: whom to cite, and the terms."""
    said = (("Cite", card.citation), ("Terms", card.terms))
    return tuple(" ".join(f"{word}: {text}".split()) for word, text in said if text)


def check_overlap(
    card: Card, frame: pd.DataFrame, allowed: bool
) -> tuple[int | None, tuple[str, ...]]:
    """How many participants to be evaluated the weights have seen, with notes for a reader.

    Returns:
        the number, None where the weights do not tell; and the notes.

    Raises:
        LeakageError: some were seen, and that is not allowed.
    """
    if not card.participant_hashes:
        return None, ("The weights do not say which participants they were pre-trained on.",)
    seen = len(overlap(card, frame))
    if seen and not allowed:
        raise LeakageError(
            f"{seen} participants to be evaluated were seen in pre-training",
            "hold them out (neurofm split), or say --allow-pretrain-overlap",
        )
    if not seen:
        return 0, ()
    total = len(frame.drop_duplicates(["cohort", "participant_id"]))
    text = f"{seen} of {total} evaluated participants were seen in pre-training, as was allowed"
    return seen, (f"{text}: these results are no test on unseen people.",)


def check_unseen(card: Card, frame: pd.DataFrame, whose: str, allowed: bool) -> tuple[str, ...]:
    """See that weights have not seen people who are not tested themselves; notes where they have.

    Args:
        card: of the weights.
        frame: rows of an index.
        whose: the people, as in "participants of the validation part".
        allowed: go on where some were seen.

    Raises:
        LeakageError: some were seen, and that is not allowed.
    """
    seen = len(overlap(card, frame))
    if not seen:
        return ()
    if not allowed:
        raise LeakageError(
            f"{seen} participants {whose} were seen in pre-training",
            "pre-train without them, or say --allow-pretrain-overlap",
        )
    return (f"{seen} participants {whose} were seen in pre-training, as was allowed.",)


def check_training_unseen(
    card: Card, train: pd.DataFrame, allowed: bool, part: str = "the training part"
) -> tuple[str, ...]:
    """The same of those who train, as far as the index keeps them from pre-training.

    Args:
        card: of the weights.
        train: rows of an index.
        allowed: go on where some were seen.
        part: which part they are, in an error.

    Raises:
        LeakageError: some were seen, and that is not allowed.
    """
    apart = train[train["split"].isin(KEPT_FROM_PRETRAINING)]
    return check_unseen(card, apart, f"held out, of {part},", allowed)
