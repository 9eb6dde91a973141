"""From scans to what trained heads say of them: a number or a class for each scan, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from neurofm.errors import WeightsError
from neurofm.files import atomic_path
from neurofm.inference.computing import Computing
from neurofm.inference.embed import Embedded, encode_by, require_new_table
from neurofm.inference.intervals import interval_columns, interval_notes, require_level
from neurofm.models.card import Card
from neurofm.models.embedding_table import CSV
from neurofm.models.embeddings import without_places
from neurofm.models.head import HeadCard, said_by
from neurofm.models.weights import LoadedWeights, head_of, load_weights
from neurofm.progress import Progress


@dataclass(frozen=True, eq=False)
class Predicted:
    """What heads say of scans.

    Attributes:
        table: a row for each scan.
        done: how many have a prediction, what became of the others, and notes.
    """

    table: pd.DataFrame
    done: Embedded


def predict_sources(
    sources: Sequence[Path],
    weights: Sequence[Path],
    output: Path,
    *,
    level: float = 0.9,
    work: Path | None = None,
    workers: int = 1,
    allow_other_contract: bool = False,
    computing: Computing | None = None,
    progress: Progress | None = None,
) -> Embedded:
    """Write what one or more sets of weights with a head predict of every scan of the sources.

    Args:
        sources: scan files, folders, tables or indexes of raw scans; or one packed store, or one
            folder of neurofm preprocess.
        weights: folders of weights with heads for one target.
        output: the table, .parquet or .csv.
        level: the share of new people whose truth is to lie in the interval or set.
        work: where the preprocessed scans are kept and found again; None keeps none.
        workers: processes that preprocess scans side by side.
        allow_other_contract: go on where the preprocessing is not the weights' own, with a note.
        computing: where to encode, and how many scans at once; None leaves it to neurofm.
        progress: shown the course of the work.

    Raises:
        RunError: `output` exists, cannot be written, or has another ending.
        ConfigError, ContractError, TableError, WeightsError: see `predict_table`.
    """
    require_new_table(output)
    predicted = predict_table(
        sources, weights, level=level, work=work, workers=workers,
        allow_other_contract=allow_other_contract, computing=computing, progress=progress,
    )  # fmt: skip
    _write(output, predicted.table)
    return predicted.done


def predict_table(
    sources: Sequence[Path],
    weights: Sequence[Path],
    *,
    level: float = 0.9,
    work: Path | None = None,
    workers: int = 1,
    allow_other_contract: bool = False,
    computing: Computing | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """What one or more sets of weights with a head predict of every scan of the sources.

    Several are the members of an ensemble, such as equal runs of several seeds: their mean is the
    prediction, their standard deviation the spread. A scan that cannot be used keeps its row, with
    an empty prediction and the reason. Arguments are as for `predict_sources`.

    Raises:
        ConfigError: the level is no share.
        ContractError: scans cannot be, or were not, preprocessed as the weights need.
        TableError: a source cannot be read.
        WeightsError: weights cannot be loaded, have no head, or do not belong together.
    """
    require_level(level)
    loaded = [load_weights(folder) for folder in weights]
    heads = [head_of(each) for each in loaded]
    members = _common_heads(loaded)
    encoded = encode_by(
        loaded, sources, work=work, workers=workers,
        allow_other_contract=allow_other_contract, computing=computing, progress=progress,
    )  # fmt: skip
    said = np.stack(
        [
            said_by(linear, member, features)
            for linear, member, features in zip(heads, members, encoded.features, strict=True)
        ]
    )
    usable = encoded.table["reason"].isna().to_numpy()
    parts = (
        _columns(said, members[0], usable),
        interval_columns(said.mean(axis=0), usable, members, level),
    )
    own = pd.concat(parts, axis=1).set_index(encoded.table.index)
    table = without_places(encoded.table).assign(
        model=" ".join(encoded.models), contract=encoded.contract
    )
    table = pd.concat([table.drop(columns=own.columns, errors="ignore"), own], axis=1)
    notes = encoded.notes + interval_notes(members, level)
    return Predicted(table, Embedded(encoded.usable, encoded.failures, notes))


def _columns(
    said: Float[np.ndarray, "members scans values"], head: HeadCard, usable: np.ndarray
) -> pd.DataFrame:
    """The prediction of each scan; probabilities of classes; the spread of several members."""
    mean = said.mean(axis=0)
    spread = said.std(axis=0, ddof=1) if len(said) > 1 else None
    columns: dict[str, object] = {"target": [head.target] * len(mean)}
    if head.kind == "regression":
        columns["prediction"] = mean[:, 0]
        if spread is not None:
            columns["spread"] = spread[:, 0]
        return pd.DataFrame(columns)
    likeliest = np.where(usable, np.nan_to_num(mean).argmax(axis=1), -1)
    columns["prediction"] = [head.classes[place] if place >= 0 else None for place in likeliest]
    for place, name in enumerate(head.classes):
        columns[f"probability_{name}"] = mean[:, place]
        if spread is not None:
            columns[f"spread_{name}"] = spread[:, place]
    return pd.DataFrame(columns)


def _common_heads(weights: Sequence[LoadedWeights]) -> list[HeadCard]:
    """The heads of all members, once they predict one thing from scans prepared in one way."""
    cards = [each.card for each in weights]
    first = cards[0]
    for card, each in zip(cards, weights, strict=True):
        for what, ours, theirs in (
            ("predict another target", _task(first), _task(card)),
            ("need other preprocessing", first.contract_fingerprint, card.contract_fingerprint),
            ("need another spacing", first.spacing_mm, card.spacing_mm),
        ):
            if ours != theirs:
                mend = "give runs of one recipe, or predict with each by itself"
                raise WeightsError(
                    f"{what} than the first: {theirs}, not {ours}", mend, each.folder
                )
    return [_head_of(card) for card in cards]


def _task(card: Card) -> tuple[str, str, tuple[str, ...]]:
    head = _head_of(card)
    return head.target, head.kind, head.classes


def _head_of(card: Card) -> HeadCard:
    assert card.head is not None  # head_of refuses weights without one
    return card.head


def _write(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        if path.suffix == CSV:
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
