"""Embeddings as a step of a scikit-learn pipeline."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags

from neurofm.errors import ConfigError, ScanError
from neurofm.files import atomic_path, fingerprint_of, sha256_of
from neurofm.inference.computing import Computing, choose_computing
from neurofm.inference.embed import KEPT_EMBEDDINGS, encode_by, preprocessing_of
from neurofm.models.card import Card, read_card
from neurofm.models.embedding_table import feature_names
from neurofm.models.references import locate
from neurofm.models.weights import load_encoder, load_weights
from neurofm.preprocess.contract import contract_of
from neurofm.volumes.grids import model_shape

_SHOWN_SCANS = 5


class EmbeddingTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns scans into the features of a frozen encoder; fitting learns nothing.

    Args:
        weights: a run, a bundle, "hf://OWNER/NAME[@REVISION]", or a published checkpoint.
        work: a folder where preprocessed scans and embeddings are kept, so that cross-validation
            prepares each scan once. None keeps none. Several processes cannot fill it at the same
            time: transform all scans once before a search with `n_jobs`.
        workers: processes that preprocess scans side by side.
        allow_other_preprocessing: go on where neurofm's steps are not the weights' own.
        device: where to encode: "auto" (the GPU where there is one), "cpu", "cuda" or "cuda:1".
        batch_size: scans encoded at once; no result depends on it. None leaves it to neurofm.
    """

    def __init__(
        self,
        weights: str | Path,
        work: str | Path | None = None,
        workers: int = 1,
        allow_other_preprocessing: bool = False,
        *,
        device: str = "auto",
        batch_size: int | None = None,
    ) -> None:
        self.weights = weights
        self.work = work
        self.workers = workers
        self.allow_other_preprocessing = allow_other_preprocessing
        self.device = device
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> EmbeddingTransformer:  # noqa: N803
        """Read how many features the weights give; scans and labels are not looked at.

        Raises:
            WeightsError: the weights cannot be found or read.
        """
        self.n_features_out_ = read_card(self._folder()).features
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "scans features"]:  # noqa: N803
        """The embedding of each scan, float32, in the order given.

        Args:
            X: paths of raw scans, as a list, array or column; or volumes prepared as the encoder
                takes them, (scans, depth, height, width) or (scans, 1, depth, height, width).

        Raises:
            ScanError: some scans cannot be embedded; names them, and no other is embedded.
            ConfigError: neither paths nor volumes of the encoder's shape, or no such device.
            ContractError, TableError, WeightsError: as `embed_sources`.
        """
        computing, folder = choose_computing(self.device, self.batch_size), self._folder()
        values = X.to_numpy() if isinstance(X, pd.DataFrame | pd.Series) else np.asarray(X)
        if values.dtype.kind in "OUS":
            flat = values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
            return self._of_paths([Path(path) for path in _texts(flat)], folder, computing)
        return _of_volumes(values, folder, computing)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """e0000, e0001, ..., as in the columns of a CSV of embeddings."""
        return np.asarray(feature_names(read_card(self._folder()).features), dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True  # there is nothing to learn

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags

    def _folder(self) -> Path:
        """Where the weights are; a checkpoint is read as a whole to find it."""
        return locate(self.weights).folder

    def _of_paths(
        self, paths: list[Path], folder: Path, computing: Computing
    ) -> Float[np.ndarray, "scans features"]:
        missing = [f"{path} (no such file)" for path in paths if not path.is_file()]
        _refuse(missing)
        card, places = read_card(folder), [path.absolute() for path in paths]
        kept = self._kept(list(dict.fromkeys(places)), card)
        found = {
            place: np.load(path, allow_pickle=False)
            for place, path in kept.items()
            if path.is_file()
        }
        waiting = [place for place in dict.fromkeys(places) if place not in found]
        if waiting:
            embedded = self._embedded(waiting, folder, computing)
            for place, features in zip(waiting, embedded, strict=True):
                found[place] = features
                if place in kept:
                    with atomic_path(kept[place]) as temporary:
                        np.save(temporary, features)
        rows = [found[place] for place in places]
        return np.stack(rows) if rows else np.zeros((0, card.features), np.float32)

    def _kept(self, places: list[Path], card: Card) -> dict[Path, Path]:
        """Where the embedding of each file is kept: named by its content, contract and weights."""
        if self.work is None:
            return {}
        config, _ = preprocessing_of(card, self.allow_other_preprocessing)
        made_by = [card.weights_sha256, contract_of(config).fingerprint(), "raw scan"]
        names = {place: fingerprint_of([*made_by, sha256_of(place)]) for place in places}
        return {
            place: Path(self.work) / KEPT_EMBEDDINGS / f"{name}.npy"
            for place, name in names.items()
        }

    def _embedded(
        self, places: list[Path], weights: Path, computing: Computing
    ) -> Float[np.ndarray, "scans features"]:
        """Prepare and encode files, each listed as a person of its own: nothing hangs on names."""
        people = [f"scan{fingerprint_of(str(place))}" for place in places]
        with tempfile.TemporaryDirectory(prefix="neurofm-embed-") as folder:
            listed = Path(folder) / "scans.csv"
            columns = {"participant_id": people, "path": [str(place) for place in places]}
            pd.DataFrame(columns).to_csv(listed, index=False)
            encoded = encode_by(
                [load_weights(weights)], [listed],
                work=None if self.work is None else Path(self.work), workers=self.workers,
                allow_other_contract=self.allow_other_preprocessing, computing=computing,
            )  # fmt: skip
        rows = encoded.table.reset_index(drop=True)
        row_of = {str(person): row for row, person in enumerate(rows["participant_id"])}
        order = [row_of[person] for person in people]
        reasons = rows["reason"].iloc[order].tolist()
        _refuse(
            [
                f"{place} ({reason})"
                for place, reason in zip(places, reasons, strict=True)
                if isinstance(reason, str)
            ]
        )
        return np.asarray(encoded.features[0][order])


def _of_volumes(
    volumes: np.ndarray, folder: Path, computing: Computing
) -> Float[np.ndarray, "scans features"]:
    card = read_card(folder)
    shape = model_shape(card.spacing_mm)
    inner = volumes.shape[2:] if volumes.ndim == 5 and volumes.shape[1] == 1 else None
    if (inner or volumes.shape[1:]) != shape or volumes.dtype.kind not in "fiu":
        raise ConfigError(
            f"X of shape {volumes.shape} is neither paths nor volumes",
            f"give paths of scans, or numbers of shape (scans, {', '.join(map(str, shape))})",
        )
    every = np.asarray(volumes, dtype=np.float32).reshape(-1, 1, *shape)
    finite = np.isfinite(every).all(axis=(1, 2, 3, 4))
    _refuse([f"volume {row} (holds NaN or Inf)" for row in np.flatnonzero(~finite)])
    encoder, size = load_encoder(folder), computing.scans_at_once(shape)
    parts = [torch.from_numpy(every[at : at + size]) for at in range(0, len(every), size)]
    rows = [computing.features_of_volumes(encoder, part) for part in parts]
    return np.concatenate(rows) if rows else np.zeros((0, card.features), np.float32)


def _texts(values: np.ndarray) -> list[str | Path]:
    texts = [each for each in values.reshape(-1) if isinstance(each, str | Path)]
    if values.ndim != 1 or len(texts) != len(values):
        raise ConfigError("X is neither paths nor volumes", "give one path of a scan in each row")
    return texts


def _refuse(scans: Sequence[str]) -> None:
    if scans:
        shown = "; ".join(scans[:_SHOWN_SCANS])
        more = f"; and {len(scans) - _SHOWN_SCANS} more" if len(scans) > _SHOWN_SCANS else ""
        raise ScanError(
            f"{len(scans)} scans cannot be embedded: {shown}{more}", "leave them out of X"
        )
