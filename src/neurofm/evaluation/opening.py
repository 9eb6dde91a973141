"""Before anything is evaluated: which scans, whether they fit the weights, whether they leak."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from torch import nn

from neurofm.config.recipe import Recipe
from neurofm.errors import RunError
from neurofm.files import fingerprint_of
from neurofm.models.encoder import build_encoder
from neurofm.models.suitability import check_contract, check_overlap
from neurofm.models.weights import Card, load_encoder, load_weights
from neurofm.seeds import seed_of
from neurofm.store.reader import Store

_HELD_OUT = ("held-out", "test")


@dataclass(frozen=True, eq=False)
class Opened:
    """An evaluation that may begin.

    Attributes:
        recipe: targets, folds, repeats, seed.
        encoder: frozen, in evaluation mode.
        card: of the weights.
        rows: rows of the store to evaluate.
        frame: their index rows.
        which: "held-out" where the index says so, else "all".
        overlap: participants seen in pre-training; None where the weights do not tell.
        data: fingerprint of the evaluated volumes and their labels.
        contract: fingerprint of the preprocessing contract.
        warnings: what a reader must know.
    """

    recipe: Recipe
    encoder: nn.Module
    card: Card
    rows: tuple[int, ...]
    frame: pd.DataFrame
    which: Literal["held-out", "all"]
    overlap: int | None
    data: str
    contract: str
    warnings: tuple[str, ...]

    @property
    def model(self) -> str:
        """SHA-256 of the weights."""
        return self.card.weights_sha256

    def random_encoder(self, repeat: int) -> nn.Module:
        """The same architecture with weights as initialised, others for each repeat."""
        seed = seed_of("random encoder", self.recipe.seed, repeat)
        return build_encoder(self.card.encoder, seed, spacing_mm=self.card.spacing_mm).eval()


def open_evaluation(
    recipe: Recipe, store: Store, weights: Path, allow_overlap: bool, allow_other_contract: bool
) -> Opened:
    """Check store and weights against each other and choose the scans.

    Raises:
        ContractError: they were preprocessed differently, or lie on other grids.
        LeakageError: evaluated participants were seen in pre-training and that is not allowed.
        RunError: the store has no scan to evaluate.
    """
    card = load_weights(weights).card
    warnings = check_contract(store, card, allow_other_contract)
    held_out = _held_out(store.index)
    which: Literal["held-out", "all"] = "held-out" if held_out.any() else "all"
    frame = store.index[held_out] if which == "held-out" else store.index
    if frame.empty:
        raise RunError("has no scan to evaluate", "pack scans first", "store")
    seen, overlap_warnings = check_overlap(card, frame, allow_overlap)
    return Opened(
        recipe=recipe,
        encoder=load_encoder(weights),
        card=card,
        rows=tuple(int(row) for row in frame.index),
        frame=frame.reset_index(drop=True),
        which=which,
        overlap=seen,
        data=_data_fingerprint(store, frame),
        contract=store.contract.fingerprint(),
        warnings=warnings + overlap_warnings,
    )


def _data_fingerprint(store: Store, frame: pd.DataFrame) -> str:
    names = [str(name) for name in frame.columns if not str(name).endswith("path")]
    labels = {name: [str(value) for value in frame[name]] for name in names}
    return fingerprint_of([store.content, labels])


def _held_out(index: pd.DataFrame) -> pd.Series:
    if "split" not in index:
        return pd.Series(False, index=index.index)
    return index["split"].isin(_HELD_OUT)
