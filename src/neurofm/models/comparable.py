"""Embeddings that may stand side by side: of one model, from scans prepared in one way."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from neurofm.errors import ContractError


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
