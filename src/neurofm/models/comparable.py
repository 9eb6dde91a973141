"""Embeddings that may stand side by side: of one model, from scans prepared in one way."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from neurofm.errors import ContractError
from neurofm.preprocess.contract import Contract, difference_of

Table = tuple[Path, pd.DataFrame, Contract | None]


def require_comparable(table: pd.DataFrame, contract: str | None, where: Path) -> None:
    """Refuse embeddings that must not be compared: of several models, or otherwise prepared scans.

    Args:
        table: rows of one or more tables of embeddings.
        contract: the fingerprint they must be of; None takes any one.
        where: the file, for the message.

    Raises:
        ContractError: names the fingerprints.
    """
    for column, mend in (
        ("contract", "embed all scans from one way of preprocessing"),
        ("model", "embed all scans with the same weights"),
    ):
        found = sorted(set(table[column])) if column in table else []
        if len(found) != 1:
            raise ContractError(
                f"holds embeddings of {len(found)} {column}s ({', '.join(map(str, found))})",
                mend, where,
            )  # fmt: skip
    (own,) = set(table["contract"])
    if contract is not None and own != contract:
        raise ContractError(
            f"its scans were preprocessed by contract {own}, not {contract}", "embed again", where
        )


def require_alike(table: Table, first: Table) -> None:
    """Refuse a table of embeddings that must not stand beside another.

    Args:
        table: its file, its rows, and the words of its contract where they were kept.
        first: the same of the other one; both have passed `require_comparable`.

    Raises:
        ContractError: names the step of preprocessing that differs, or the models.
    """
    (where, rows, ours), (other, others, theirs) = table, first
    (contract,), (model,) = set(rows["contract"]), set(rows["model"])
    (wanted,), (known,) = set(others["contract"]), set(others["model"])
    if contract != wanted:
        difference = difference_of(ours, theirs) if ours and theirs else ""
        words = difference or f"contract {contract}, not {wanted}"
        raise ContractError(
            f"its scans were preprocessed differently from those of {other}: {words}",
            "embed all scans from one way of preprocessing",
            where,
        )
    if model != known:
        raise ContractError(
            f"its embeddings are of the model {model}, those of {other} of {known}",
            "embed all scans with the same weights",
            where,
        )
